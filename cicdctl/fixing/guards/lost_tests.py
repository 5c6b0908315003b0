"""What a test file has lost: tests by name, and asserts that can fail."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from cicdctl.fixing.guards.patch import ChangedFile
from cicdctl.fixing.guards.syntax import parse
from cicdctl.model.fixing import GuardFinding

_NAMES = {
    "js": re.compile(r"(?<![\w.$])(?:it|test|describe)(?:\.\w+)*\(\s*(?P<quote>['\"`])(.+?)(?P=quote)"),
    "go": re.compile(r"^func\s+((?:Test|Benchmark|Fuzz|Example)\w*)\(", re.MULTILINE),
    "rust": re.compile(r"#\[(?:\w+::)?test\b[^\]]*\](?:\s*#\[[^\]]*\])*\s*(?:pub\s+)?(?:async\s+)?fn\s+(\w+)"),
    "java": re.compile(r"@(?:Test|ParameterizedTest)\b[^;{]*?\b(\w+)\s*\("),
}
_ASSERTS = re.compile(
    r"\bassert\w*\b|\bexpect\s*\(|\b(?:t|b)\.(?:Error|Errorf|Fatal|Fatalf|Fail|FailNow)\(|\brequire\.\w+\("
)


def find_lost_tests(file: ChangedFile) -> Iterator[GuardFinding]:
    """Yield a block for each of five tests that are gone, and one when there are fewer asserts."""
    old_names, old_asserts = _look(file, file.old)
    new_names, new_asserts = _look(file, file.new)
    for name in sorted(old_names - new_names)[:5]:
        yield file.finding("test-files", "block", f"the test {name} is gone")
    if new_asserts < old_asserts:
        yield file.finding("test-files", "block", f"it has {new_asserts} asserts instead of {old_asserts}")


def _look(file: ChangedFile, text: str) -> tuple[set[str], int]:
    if file.language == "python":
        tree = parse(text)
        return (set(), 0) if tree is None else (_python_names(tree), count_asserts(tree))
    pattern = _NAMES.get(file.language)
    names = {match.group(match.lastindex or 0) for match in pattern.finditer(text)} if pattern else set()
    return names, len(_ASSERTS.findall(text))


def _python_names(tree: ast.Module) -> set[str]:
    """Tests by name, those of classes with the class."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            for child in node.body:
                if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and child.name.startswith("test"):
                    found.add(f"{node.name}.{child.name}")
    return found


def count_asserts(tree: ast.Module) -> int:
    """Count assert statements that are not constant, `self.assert…` calls, and `raises`, `warns`, `fail`."""
    total = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            total += not isinstance(node.test, ast.Constant)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            total += name.startswith("assert") or name in ("raises", "warns", "fail")
    return total
