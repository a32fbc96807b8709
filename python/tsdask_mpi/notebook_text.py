"""The notebook itself: its parameters' cell, what cells have put out, and how it is written."""

from __future__ import annotations

import errno
import keyword
import math
import os
import re
import stat
import tempfile
from contextlib import suppress
from typing import Any

# As `src/errors/visible.ts` has them.
CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """Return text as it may stand on a terminal: what would steer it is shown as what it is."""
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def typed(text: str) -> Any:
    """
    Return the value that papermill's command line makes of a parameter's text: a boolean, None, a number, or the text.
    """
    words = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def is_variable(name: str) -> bool:
    """Return whether Python takes this for the name of a variable."""
    return name.isidentifier() and not keyword.iskeyword(name)


def literal(value: Any) -> str:
    """Return Python source for a parameter's value."""
    return f"float({str(value)!r})" if isinstance(value, float) and not math.isfinite(value) else repr(value)


def tags(cell: Any) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.get("metadata", {}).get("tags", []))


def inject(notebook: Any, parameters: dict[str, Any]) -> list[str]:
    """
    Put a cell with the parameters behind the one tagged `parameters`, else first (as papermill does); return the names
    that are new there.
    """
    from nbformat.v4 import new_code_cell

    lines = ["# Parameters", *(f"{name} = {literal(value)}" for name, value in parameters.items())]
    cell = new_code_cell("\n".join(lines), metadata={"tags": ["injected-parameters"]})
    if (notebook.nbformat, notebook.get("nbformat_minor", 0)) < (4, 5):
        cell.pop("id", None)
    cells = [one for one in notebook.cells if "injected-parameters" not in tags(one)]
    place = next((index for index, one in enumerate(cells) if "parameters" in tags(one)), None)
    notebook.cells = [*cells[: 0 if place is None else place + 1], cell, *cells[0 if place is None else place + 1 :]]
    if place is None:
        return []
    source = cells[place].source
    return [name for name in parameters if re.search(rf"(?m)^{re.escape(name)}\s*[:=]", source) is None]


def own_target(path: str) -> str:
    """Return where this user's own links lead from `path`. Somebody else's link is not followed."""
    for _ in range(40):
        try:
            found = os.lstat(path)
        except OSError:
            return path
        if not stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid():
            return path
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return path


def write(path: str, text: str) -> None:
    """
    Replace a file by another one in one step, with the old one's mode; raises PermissionError for what another user has
    put there.
    """
    path = own_target(path)
    mode = None
    with suppress(FileNotFoundError):
        found = os.lstat(path)
        if found.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "what is there belongs to another user")
        if stat.S_ISREG(found.st_mode):
            mode = found.st_mode & 0o777
    folder, name = os.path.split(path)
    handle, draft = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)
    try:
        # Half a character, as a cell may put out, becomes what stands for it in JSON: \ud83d.
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            mask = os.umask(0)
            os.umask(mask)
            # In a folder that others may write, what has the draft's name need not be the draft any more.
            os.fchmod(file.fileno(), 0o666 & ~mask if mode is None else mode)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise


def join_streams(outputs: list[Any]) -> None:
    """Make one of the last two outputs where both are of the same stream."""
    if len(outputs) < 2:
        return
    before, last = outputs[-2:]
    if before.output_type == last.output_type == "stream" and before.name == last.name:
        before.text += last.text
        outputs.pop()


def add_error(cell: Any, name: str, value: str) -> None:
    """Put an error into a cell that its kernel did not report."""
    from nbformat.v4 import new_output

    cell.outputs.append(new_output("error", ename=name, evalue=value, traceback=[f"{name}: {value}"]))
