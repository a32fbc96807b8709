"""
Finds private names, replaced functions and matched messages of other people's packages outside
python/tsdask_mpi/compat/.

Usage: python3 scripts/foreign_names.py   (a line for each place; exit code 1 when there is one)

It reads the files and imports nothing. Told are, outside compat/:
- `thing._name`, where no file of ours gives that name to anything, or a file of compat/ says that it relies on it;
- such a name in a class that derives from somebody else's, whether it is used, replaced or taken over;
- a function put into the place of an attribute of something that is not ours, and any attribute set on an imported
  name;
- a text looked for in an exception or in a line of a log.
In compat/: private names that the head of their file does not name.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / "python" / "tsdask_mpi"
OURS = ("tsdask_mpi", "tsdask_adopt")
#: Documented for all their underscore, by Python and by IPython.
DOCUMENTED = {"_exit", "_replace", "_asdict", "_fields", "_make", "_getframe", "_repr_html_"}
#: Modules whose attributes are there to be set: sys.stdout, sys.argv, …
SETTABLE = {"sys"}
PRIVATE = re.compile(r"_(?!_)\w+\Z")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_private(name: str) -> bool:
    """Tell whether a name has one underscore in front."""
    return PRIVATE.match(name) is not None


def names_given(tree: ast.AST) -> set[str]:
    """
    Return the private names that a file gives: functions, classes, variables, attributes of `self`, names of a keyword
    argument.
    """
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and of_self(node):
            found.add(node.attr)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
    return {name for name in found if is_private(name)}


def names_relied_on(tree: ast.Module) -> set[str]:
    """Return the private names that the head of a file of compat/ says it relies on."""
    return set(re.findall(r"(?<![\w/-])_(?!_)\w+", ast.get_docstring(tree) or ""))


def members(cls: ast.ClassDef) -> set[str]:
    """Return the names in the body of a class."""
    found = {node.name for node in cls.body if isinstance(node, FUNCTIONS)}
    for node in cls.body:
        for target in node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]:
            found |= {one.id for one in ast.walk(target) if isinstance(one, ast.Name)} if target is not None else set()
    return found


def of_self(node: ast.Attribute, *names: str) -> bool:
    """Tell whether an attribute is one of `self` or `cls`, or of these names."""
    return isinstance(node.value, ast.Name) and node.value.id in (names or ("self", "cls"))


def imported(tree: ast.AST) -> set[str]:
    """Return the names in a file that stand for something imported from elsewhere."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names if not ours(alias.name)}
        elif isinstance(node, ast.ImportFrom) and not node.level and not ours(node.module or ""):
            found |= {alias.asname or alias.name for alias in node.names}
    return found


def ours(module: str) -> bool:
    """Tell whether a module is part of this project."""
    return module.partition(".")[0] in OURS


def root_of(node: ast.AST) -> str:
    """Return the first name of `a.b.c`; empty where there is none."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


class File:
    """One file outside compat/, and what is wrong with it."""

    def __init__(self, path: Path, given: set[str], relied_on: set[str], derived: set[str]) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.given = given
        self.relied_on = relied_on
        self.foreign = imported(self.tree)
        self.functions = {node.name for node in ast.walk(self.tree) if isinstance(node, FUNCTIONS)}
        self.classes = [node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef) and node.name in derived]
        self.within = {id(node) for cls in self.classes for node in ast.walk(cls)}
        self.found: list[tuple[int, str]] = []

    def tell(self, node: ast.AST, text: str) -> None:
        """Note one place."""
        self.found.append((getattr(node, "lineno", 0), text))

    def look(self) -> None:
        """Look at every node."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute):
                self.private(node)
            elif isinstance(node, ast.ClassDef):
                self.inherited(node)
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                self.replaced(node)
            elif isinstance(node, ast.Call):
                self.called(node)
            elif isinstance(node, ast.Compare):
                self.compared(node)

    def private(self, node: ast.Attribute) -> None:
        """Look at `thing._name`."""
        name = node.attr
        if not is_private(name) or name in DOCUMENTED:
            return
        own = of_self(node) and id(node) not in self.within
        if name not in self.given or (name in self.relied_on and not own):
            self.tell(node, f"{ast.unparse(node)} is private to somebody else")

    def inherited(self, cls: ast.ClassDef) -> None:
        """Look at a class that derives from somebody else's."""
        if cls in self.classes:
            for name in sorted(members(cls) & self.relied_on):
                self.tell(
                    cls, f"class {cls.name} takes {name} over from its base: derive from a class of compat/ that does"
                )

    def replaced(self, node: ast.Assign | ast.AnnAssign) -> None:
        """Look at `thing.name = …`."""
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if not isinstance(target, ast.Attribute) or root_of(target) in SETTABLE:
                continue
            if root_of(target) in self.foreign or (self.is_function(node.value) and not of_self(target, "self")):
                self.tell(node, f"{ast.unparse(target)} is replaced")

    def is_function(self, value: ast.AST | None) -> bool:
        """Tell whether an expression is a function of this file, as it is or wrapped by another."""
        if isinstance(value, ast.Call) and len(value.args) == 1 and isinstance(value.func, (ast.Call, ast.Name)):
            value = value.args[0]
        return isinstance(value, ast.Lambda) or (isinstance(value, ast.Name) and value.id in self.functions)

    def called(self, node: ast.Call) -> None:
        """Look at setattr, getattr, and at searches in messages."""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        words = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if name == "setattr" and root_of(node.args[0]) not in SETTABLE and self.is_function(node.args[2]):
            self.tell(node, f"{ast.unparse(node)} replaces something")
        elif name in ("getattr", "hasattr") and words and is_private(words[0]) and words[0] not in self.given:
            self.tell(node, f"{ast.unparse(node)} asks for what is private to somebody else")
        elif isinstance(node.func, ast.Attribute):
            searched = (
                [node.func.value, *node.args]
                if node.func.attr in ("startswith", "search", "match", "fullmatch")
                else []
            )
            if words and any(is_message(one) for one in searched):
                self.tell(node, f"{ast.unparse(node)} looks for the words of somebody else")

    def compared(self, node: ast.Compare) -> None:
        """Look at `"text" in message`."""
        searched = [
            right
            for test, right in zip(node.ops, node.comparators, strict=True)
            if isinstance(test, (ast.In, ast.NotIn))
        ]
        if (
            isinstance(node.left, ast.Constant)
            and isinstance(node.left.value, str)
            and any(is_message(one) for one in searched)
        ):
            self.tell(node, f"{ast.unparse(node)} looks for the words of somebody else")


def is_message(node: ast.AST) -> bool:
    """Tell whether an expression is the text of an exception or of a record of a log."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in ("str", "repr") and len(node.args) == 1 and mentions_error(node.args[0])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr == "getMessage"
    return isinstance(node, ast.Attribute) and node.attr == "msg"


def mentions_error(node: ast.AST) -> bool:
    """Tell whether an expression is named as an exception is."""
    return any(
        isinstance(one, (ast.Name, ast.Attribute))
        and re.search("error|cause|exception|failure|record", one.id if isinstance(one, ast.Name) else one.attr, re.I)
        for one in ast.walk(node)
    )


def derived_classes(trees: list[ast.Module]) -> set[str]:
    """
    Return the names of those of our classes that have a base of somebody else's, directly or by another class of ours.
    """
    found: set[str] = set()
    classes = [(node, imported(tree)) for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for _ in range(len(classes)):
        before = len(found)
        found |= {node.name for node, foreign in classes for base in node.bases if root_of(base) in foreign | found}
        if len(found) == before:
            break
    return found


def unnamed(path: Path, tree: ast.Module, given: set[str]) -> list[str]:
    """Return a line for each private name that a file of compat/ uses and does not name in its head."""
    relied_on = names_relied_on(tree)
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)} is not in what the file says that it relies on"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in given | relied_on | DOCUMENTED
    ]


def main() -> int:
    """Look at every file."""
    paths = sorted(PYTHON.rglob("*.py"))
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    compat = [path for path in paths if path.parent.name == "compat"]
    relied_on = set().union(*(names_relied_on(trees[path]) for path in compat))
    given = set().union(*(names_given(tree) for tree in trees.values()))
    derived = derived_classes(list(trees.values()))
    problems: list[str] = []
    for path in paths:
        if path in compat:
            problems += unnamed(path, trees[path], names_given(trees[path]))
            continue
        file = File(path, given, relied_on, derived)
        file.look()
        problems += [f"{path.relative_to(ROOT)}:{line}: {text}" for line, text in sorted(file.found)]
    print("\n".join(problems) or f"{len(paths)} files")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
