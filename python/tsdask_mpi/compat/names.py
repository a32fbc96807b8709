"""Finds out which attributes an object lacks."""

from __future__ import annotations

from types import CodeType


def lacking(where: str, owner: object, *names: str) -> str | None:
    """Return the first of `names` that `owner` lacks, written as `where.name`, or None."""
    return next((f"{where}.{name}" for name in names if not hasattr(owner, name)), None)


def written_in(function: object) -> set[str]:
    """
    Return the names and texts that a function, or any method of a class, is made of, inner and decorated functions
    included: what `inspect` would read from the file.
    """
    if isinstance(function, type):
        return set().union(*(written_in(value) for value in vars(function).values() if hasattr(value, "__code__")))
    found: set[str] = set()
    waiting = [getattr(function, "__code__", None)]
    while (function := getattr(function, "__wrapped__", None)) is not None:
        waiting.append(getattr(function, "__code__", None))
    while waiting:
        code = waiting.pop()
        if not isinstance(code, CodeType):
            continue
        found.update(code.co_names)
        found.update(constant for constant in code.co_consts if isinstance(constant, str))
        waiting.extend(constant for constant in code.co_consts if isinstance(constant, CodeType))
    return found
