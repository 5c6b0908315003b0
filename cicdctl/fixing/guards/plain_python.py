"""Python read with its names resolved: `from os import _exit as done; done(0)` says `os._exit(0)`."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterator
from functools import cached_property

from cicdctl.fixing.guards.patch import ChangedFile
from cicdctl.fixing.guards.syntax import parse

_MOST_NAME_PARTS = 6


class PlainPython(ChangedFile):
    """A changed file whose added and removed lines are statements, each on one line, as they read without disguise.

    Only statements with a changed line count. `from x import y as z`, `z = x.y`, `getattr(x, "y")`, `setattr` and
    strings put together are written out; what is computed in other ways stays as it is.
    """

    def __init__(self, file: ChangedFile) -> None:
        self._file = file
        super().__init__(file._repository, file.file)

    @cached_property
    def _changes(self) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
        return _said(self._file.new, self._file.added), _said(self._file.old, self._file.removed)


def _said(text: str, changed: list[tuple[int, str]]) -> list[tuple[int, str]]:
    tree = parse(text)
    if tree is None:
        return []
    try:
        names = _names(tree)
        return list(_statements(_Plain(names).visit(tree), {number for number, _ in changed}))
    except (RecursionError, MemoryError):
        return []


def _statements(tree: ast.AST, numbers: Collection[int]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            continue
        body = getattr(node, "body", None)
        first = node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno
        is_compound = isinstance(body, list) and bool(body)
        last = body[0].lineno - 1 if is_compound else getattr(node, "end_lineno", first)  # type: ignore[index]
        found = next((number for number in range(first, max(first, last) + 1) if number in numbers), None)
        if found is not None:
            indent = " " * getattr(node, "col_offset", 0)
            yield found, indent + (_head(node) if is_compound else ast.unparse(node).replace("\n", " "))


def _head(node: ast.AST) -> str:
    """The first line of a compound statement, with its decorators."""
    kept = {name: value for name, value in ast.iter_fields(node) if name not in ("orelse", "finalbody", "handlers")}
    kept |= {name: [] for name in ("orelse", "finalbody", "handlers") if hasattr(node, name)}
    kept["body"] = [ast.Pass()]
    if isinstance(node, ast.Try | ast.TryStar | ast.Match):
        return type(node).__name__
    return ast.unparse(ast.copy_location(type(node)(**kept), node)).replace("\n", " ")


def _names(tree: ast.AST) -> dict[str, str]:
    """What names stand for: modules and their parts under another name, and names given to dotted names once."""
    found: dict[str, str] = {}
    given: Counter[str] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {one.asname: one.name for one in node.names if one.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names if one.name != "*"}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            given[node.id] += 1
        elif isinstance(node, ast.arg):
            given[node.arg] += 1
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name, dotted = node.targets[0].id, _dotted(node.value)
            if given[name] == 1 and dotted is not None and given[dotted.partition(".")[0]] == 0:
                found.setdefault(name, dotted)
    return {name: dotted for name, dotted in found.items() if name.partition(".")[0] != dotted}


def _dotted(node: ast.expr) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and len(parts) < _MOST_NAME_PARTS:
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


class _Plain(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        dotted = self._names.get(node.id)
        for _ in range(_MOST_NAME_PARTS):  # a name of a name of a name
            head, dot, rest = (dotted or "").partition(".")
            if dotted is None or self._names.get(head) in (None, dotted):
                break
            dotted = f"{self._names[head]}{dot}{rest}"
        if dotted is None or not isinstance(node.ctx, ast.Load):
            return node
        return ast.copy_location(ast.parse(dotted, mode="eval").body, node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        left, right = node.left, node.right
        if isinstance(node.op, ast.Add) and isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
            if isinstance(left.value, str) and isinstance(right.value, str):
                return ast.copy_location(ast.Constant(left.value + right.value), node)
            if isinstance(left.value, int | float) and isinstance(right.value, int | float):
                return ast.copy_location(ast.Constant(left.value + right.value), node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) in (2, 3):
            attribute = _identifier(node.args[1])
            if attribute is not None:
                return ast.copy_location(ast.Attribute(node.args[0], attribute, ast.Load()), node)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        self.generic_visit(node)
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "setattr":
            attribute = _identifier(call.args[1]) if len(call.args) == 3 else None
            if attribute is not None:
                target = ast.copy_location(ast.Attribute(call.args[0], attribute, ast.Store()), node)
                return ast.copy_location(ast.Assign([target], call.args[2]), node)
        return node


def _identifier(node: ast.expr) -> str | None:
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) and value.isidentifier() else None


def plain_tree(text: str) -> ast.Module | None:
    """Return the syntax tree with its names resolved; None when there is none, or it is too deep."""
    tree = parse(text)
    if tree is None:
        return None
    try:
        plain = _Plain(_names(tree)).visit(tree)
    except (RecursionError, MemoryError):
        return None
    assert isinstance(plain, ast.Module)
    return ast.fix_missing_locations(plain)
