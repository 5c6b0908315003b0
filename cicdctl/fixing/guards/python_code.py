"""What only the syntax tree of Python shows: constant answers, swallowed errors, emptied bodies, public names."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator

from cicdctl.fixing.guards.patch import ChangedFile, Patch
from cicdctl.fixing.guards.plain_python import plain_tree
from cicdctl.fixing.guards.syntax import parse
from cicdctl.model.fixing import FailureBundle, GuardFinding, GuardLevel

# Who catches these catches also what a test says of a fault.
_BROAD = frozenset({"Exception", "BaseException", "AssertionError"})
_ANSWERS = ("__eq__", "__ne__", "__bool__", "__contains__", "__instancecheck__")
_ERROR_NAME = re.compile(r"\b[A-Z]\w*(?:Error|Exception|Warning|Exit|Interrupt)\b")

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def find_in_python(patch: Patch, bundle: FailureBundle) -> Iterator[GuardFinding]:
    """Yield findings in the Python files of a candidate. A file that does not parse is left to the checks."""
    named = {name for one in bundle.diagnostics for name in _ERROR_NAME.findall(one.message)}
    failing = named | {base for name in named for base in _bases(name)}
    for file in patch.files:
        if file.language != "python":
            continue
        old, new = parse(file.old), parse(file.new)
        if new is None:
            continue
        plain_old, plain_new = plain_tree(file.old), plain_tree(file.new) or new
        yield from _constant_answers(file, plain_old, plain_new)
        yield from _swallowed(file, plain_old, plain_new, failing)
        if old is not None:
            yield from _emptied(file, old, new)
            yield from _public_names(file, old, new)


def _bases(name: str) -> set[str]:
    """The errors of Python that an error also is; those that are everything are broad anyway."""
    error = getattr(builtins, name, None)
    if not isinstance(error, type) or not issubclass(error, Exception):
        return set()
    return {one.__name__ for one in error.__mro__[1:]} - _BROAD - {"object"}


def _constant_answers(file: ChangedFile, old: ast.Module | None, new: ast.Module) -> Iterator[GuardFinding]:
    known = {_said(node) for node, _, _ in _answers(old)} if old is not None else set()
    for node, name, level in _answers(new):
        if _said(node) not in known:
            yield file.finding("test-awareness", level, f"{name} answers without looking", node.lineno)


def _answers(tree: ast.Module) -> Iterator[tuple[ast.stmt | ast.expr, str, GuardLevel]]:
    """Methods that compare, and whose answer depends on nothing that is compared, or on one side only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in _ANSWERS:
            returned = [one.value for one in ast.walk(node) if isinstance(one, ast.Return) and one.value is not None]
            level = _judge_answer(node.name, [argument.arg for argument in node.args.args], returned)
            if level is not None:
                yield node, node.name, level
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            for target in node.targets:
                name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
                if name in _ANSWERS and (level := _judge_lambda(name, node.value)):
                    yield node, name, level
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                name = key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""
                if name in _ANSWERS and isinstance(value, ast.Lambda) and (level := _judge_lambda(name, value)):
                    yield value, name, level


def _judge_lambda(name: str, made: ast.Lambda) -> GuardLevel | None:
    return _judge_answer(name, [argument.arg for argument in made.args.args], [made.body])


def _judge_answer(name: str, names: list[str], returned: list[ast.expr]) -> GuardLevel | None:
    if not returned or any(_is_not_implemented(value) for value in returned):
        return None
    if not any(_mentions(value, set(names)) for value in returned):
        return "block"
    has_both = all(any(_mentions(value, {one}) for value in returned) for one in names[:2])
    return None if has_both or name not in ("__eq__", "__ne__") else "needs_approval"


def _mentions(value: ast.expr, names: set[str]) -> bool:
    return any(isinstance(one, ast.Name) and one.id in names for one in ast.walk(value))


def _is_not_implemented(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id == "NotImplemented"


def _swallowed(file: ChangedFile, old: ast.Module | None, new: ast.Module, failing: set[str]) -> Iterator[GuardFinding]:
    known = {_said(node) for node, _ in _catches(old, failing)} if old is not None else set()
    for node, caught in _catches(new, failing):
        if _said(node) not in known:
            yield file.finding("swallowing", "needs_approval", f"it catches {caught} and goes on", node.lineno)
    idle = {_said(node) for node in _idle_stand_ins(old)} if old is not None else set()
    for node in _idle_stand_ins(new):
        if _said(node) not in idle:
            text = f"{node.name} does nothing, and is given back"
            yield file.finding("swallowing", "needs_approval", text, node.lineno)


def _idle_stand_ins(tree: ast.Module) -> Iterator[_Function]:
    """Functions that do nothing and are returned by the one around them: a decorator puts them in a test's place."""
    for outer in ast.walk(tree):
        if not isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        given = {
            name.id
            for one in ast.walk(outer)
            if isinstance(one, ast.Return) and one.value is not None
            for name in ast.walk(one.value)
            if isinstance(name, ast.Name)
        }
        for inner in outer.body:
            if not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) or inner.name not in given:
                continue
            if all(map(_is_nothing, inner.body)):
                yield inner


def _catches(tree: ast.Module, failing: set[str]) -> Iterator[tuple[ast.ExceptHandler | ast.expr | ast.stmt, str]]:
    """Handlers, and `suppress(…)`, that let nothing through: of everything, or of the very error of the failure."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            names = _names(node.type) if node.type is not None else {"everything"}
            if node.type is not None and not _is_plain(node.type):
                names |= {"what is computed"}
            broad = names & (_BROAD | {"everything", "what is computed"})
            if broad and not any(isinstance(one, ast.Raise) for one in ast.walk(node)):
                yield node, min(broad)
            elif names & failing and all(_is_nothing(one) for one in node.body):
                yield node, min(names & failing)
        elif isinstance(node, ast.Call) and _names(node.func) & {"suppress"}:
            caught = {name for argument in node.args for name in _names(argument)} & (_BROAD | failing)
            if caught:
                yield node, min(caught)
        elif isinstance(node, ast.Try | ast.TryStar) and any(map(_leaves, node.finalbody)):
            yield node.finalbody[0], "everything in finally"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_calm_exit(node):
            yield node, "everything on its way out"


def _is_plain(node: ast.expr) -> bool:
    """Whether it says by name what is caught."""
    if isinstance(node, ast.Tuple):
        return all(map(_is_plain, node.elts))
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _leaves(node: ast.stmt) -> bool:
    """Whether a statement in `finally` drops the error that is on its way."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    if isinstance(node, ast.Return | ast.Break | ast.Continue):
        return True
    return any(isinstance(one, ast.stmt) and _leaves(one) for one in ast.iter_child_nodes(node))


def _is_calm_exit(node: _Function) -> bool:
    """Whether it is the end of a `with` that says yes: then no error gets out."""
    returned = (one.value for one in ast.walk(node) if isinstance(one, ast.Return))
    is_true = any(isinstance(value, ast.Constant) and bool(value.value) for value in returned)
    return is_true and node.name in ("__exit__", "__aexit__")


def _names(node: ast.expr) -> set[str]:
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return names | {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}


def _emptied(file: ChangedFile, old: ast.Module, new: ast.Module) -> Iterator[GuardFinding]:
    before = _functions(old)
    for name, node in _functions(new).items():
        earlier = before.get(name)
        if earlier is not None and _is_empty(node) and not _is_empty(earlier):
            yield file.finding("deletion", "needs_approval", f"the body of {name} is gone", node.lineno)


def _public_names(file: ChangedFile, old: ast.Module, new: ast.Module) -> Iterator[GuardFinding]:
    for name in sorted(_public(old) - _public(new)):
        yield file.finding("deletion", "needs_approval", f"{name} is gone")


def _functions(tree: ast.Module) -> dict[str, _Function]:
    found: dict[str, _Function] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                found[prefix + child.name] = child
            elif isinstance(child, ast.ClassDef):
                visit(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.If | ast.Try):
                visit(child, prefix)

    visit(tree, "")
    return found


def _public(tree: ast.Module) -> set[str]:
    names = {name for name in _functions(tree) if not any(part.startswith("_") for part in name.split("."))}
    for node in _statements(tree.body):
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {one.id for one in node.targets if isinstance(one, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, also those under a condition."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            yield from _statements([one for one in ast.iter_child_nodes(node) if isinstance(one, ast.stmt)])


def _is_empty(node: _Function) -> bool:
    body = [one for one in node.body if not _is_docstring(one)]
    return all(_is_nothing(one) or _returns_constant(one) for one in body)


def _returns_constant(node: ast.stmt) -> bool:
    if not isinstance(node, ast.Return) or node.value is None:
        return isinstance(node, ast.Return)
    return not any(isinstance(one, ast.Name | ast.Call | ast.Attribute) for one in ast.walk(node.value))


def _is_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Pass | ast.Continue | ast.Break):
        return True
    if isinstance(node, ast.Return):
        return _returns_constant(node)
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _said(node: ast.AST) -> str:
    """The code as such, however it is laid out; what is too deep to tell is like nothing else."""
    try:
        return ast.unparse(node)
    except RecursionError:
        return f"{id(node)}"
