"""Tests and asserts of a Python file, counted by its syntax tree."""

from __future__ import annotations

import ast


def test_names(tree: ast.Module) -> set[str]:
    """Return tests by name, those of classes with the class."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            for child in node.body:
                if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and child.name.startswith("test"):
                    found.add(f"{node.name}.{child.name}")
    return found


test_names.__test__ = False  # type: ignore[attr-defined]  # pytest must not collect it


def count_asserts(tree: ast.Module) -> int:
    """Count assert statements, `self.assert…` calls and `pytest.raises`."""
    total = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            total += 1
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            total += name.startswith("assert") or name in ("raises", "warns", "fail")
    return total
