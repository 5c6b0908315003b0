"""What only the syntax tree of Python shows: lost asserts and tests, constant answers, emptied bodies, public names."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from cicdctl.fixing.guards.patch import ChangedFile, Patch
from cicdctl.fixing.guards.tests_of import count_asserts, test_names
from cicdctl.model.fixing import GuardFinding

_BROAD = frozenset({"Exception", "BaseException"})


def find_in_python(patch: Patch) -> Iterator[GuardFinding]:
    """Yield findings in the Python files of a candidate. A file that does not parse is left to the checks."""
    for file in patch.files:
        if file.language != "python":
            continue
        old, new = parse(file.old), parse(file.new)
        if new is None:
            continue
        lines = {number for number, _ in file.added}
        yield from _constant_answers(file, new, lines)
        yield from _swallowed(file, new, lines)
        if old is not None:
            yield from _emptied(file, old, new)
            yield from _public_names(file, old, new)


def parse(text: str) -> ast.Module | None:
    """Return the syntax tree; None when there is none, or it is too deep."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _constant_answers(file: ChangedFile, tree: ast.Module, lines: set[int]) -> Iterator[GuardFinding]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or node.name not in ("__eq__", "__ne__", "__bool__", "__contains__"):
            continue
        body = [one for one in node.body if not _is_docstring(one)]
        is_constant = len(body) == 1 and isinstance(body[0], ast.Return) and isinstance(body[0].value, ast.Constant)
        if is_constant and _touches(node, lines):
            yield file.finding("test-awareness", "block", f"{node.name} always gives the same answer", node.lineno)


def _swallowed(file: ChangedFile, tree: ast.Module, lines: set[int]) -> Iterator[GuardFinding]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler) or not _touches(node, lines):
            continue
        names = {one.id for one in ast.walk(node.type) if isinstance(one, ast.Name)} if node.type else set()
        is_broad = node.type is None or bool(names & _BROAD)
        does_nothing = all(_is_nothing(one) for one in node.body)
        if does_nothing or (is_broad and not any(isinstance(one, ast.Raise) for one in ast.walk(node))):
            caught = "everything" if is_broad else "an error"
            yield file.finding("swallowing", "needs_approval", f"it catches {caught} and goes on", node.lineno)


def _emptied(file: ChangedFile, old: ast.Module, new: ast.Module) -> Iterator[GuardFinding]:
    before, after = _functions(old), _functions(new)
    for name, node in after.items():
        earlier = before.get(name)
        if earlier is not None and _is_empty(node) and not _is_empty(earlier):
            yield file.finding("deletion", "needs_approval", f"the body of {name} is gone", node.lineno)


def _public_names(file: ChangedFile, old: ast.Module, new: ast.Module) -> Iterator[GuardFinding]:
    for name in sorted(_public(old) - _public(new)):
        yield file.finding("deletion", "needs_approval", f"{name} is gone")


def lost_tests(file: ChangedFile) -> Iterator[GuardFinding]:
    """Yield what a test file has lost: tests by name, and asserts."""
    old, new = (parse(text) for text in (file.old, file.new))
    if file.language == "python" and old is not None:
        gone = test_names(old) - (test_names(new) if new is not None else set())
        before, after = count_asserts(old), count_asserts(new) if new is not None else 0
    else:
        gone = set()
        before, after = (
            file.old.count("assert") + file.old.count("expect("),
            file.new.count("assert") + file.new.count("expect("),
        )
    for name in sorted(gone)[:5]:
        yield file.finding("test-files", "block", f"the test {name} is gone")
    if after < before:
        yield file.finding("test-files", "block", f"it has {after} asserts instead of {before}")


def _functions(tree: ast.Module) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    found: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                found[prefix + child.name] = child
            if isinstance(child, ast.ClassDef):
                visit(child, f"{prefix}{child.name}.")

    visit(tree, "")
    return found


def _public(tree: ast.Module) -> set[str]:
    names = {name for name in _functions(tree) if not any(part.startswith("_") for part in name.split("."))}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            names.add(node.name)
    return names


def _is_empty(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    body = [one for one in node.body if not _is_docstring(one)]
    return all(_is_nothing(one) or _returns_constant(one) for one in body)


def _returns_constant(node: ast.stmt) -> bool:
    if not isinstance(node, ast.Return):
        return False
    value = node.value
    return (
        value is None
        or isinstance(value, ast.Constant)
        or (isinstance(value, ast.List | ast.Tuple | ast.Dict | ast.Set) and not ast.unparse(value).strip("[](){}, "))
    )


def _is_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Pass | ast.Continue | ast.Break):
        return True
    if isinstance(node, ast.Return):
        return node.value is None or (isinstance(node.value, ast.Constant) and not node.value.value)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _touches(node: ast.stmt | ast.ExceptHandler, lines: set[int]) -> bool:
    return any(number in lines for number in range(node.lineno, (node.end_lineno or node.lineno) + 1))
