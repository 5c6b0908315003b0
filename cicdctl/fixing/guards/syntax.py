"""The syntax tree of Python, or none."""

from __future__ import annotations

import ast
import warnings


def parse(text: str) -> ast.Module | None:
    """Return the syntax tree; None when there is none, or it is too deep."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
