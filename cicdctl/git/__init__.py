"""The repository: read exactly, snapshot without a trace, check out fast. The only room that knows dulwich."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cicdctl.git.checkout import export
    from cicdctl.git.commits import Commit
    from cicdctl.git.globs import compile_globs
    from cicdctl.git.names import show_path
    from cicdctl.git.objects import MissingObject
    from cicdctl.git.pool import Slot, WorktreePool
    from cicdctl.git.refs import Head, RefLocked, RefMoved
    from cicdctl.git.repository import GitProgram, Repository, open_repository
    from cicdctl.git.snapshot import Snapshot
    from cicdctl.git.trees import TreeEntry

# Loaded when first asked: the way to a cached result needs few of them.
_HOMES = {
    "Commit": "commits",
    "GitProgram": "repository",
    "Head": "refs",
    "MissingObject": "objects",
    "RefLocked": "refs",
    "RefMoved": "refs",
    "Repository": "repository",
    "Slot": "pool",
    "Snapshot": "snapshot",
    "TreeEntry": "trees",
    "WorktreePool": "pool",
    "compile_globs": "globs",
    "export": "checkout",
    "open_repository": "repository",
    "show_path": "names",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


__all__ = [
    "Commit",
    "GitProgram",
    "Head",
    "MissingObject",
    "RefLocked",
    "RefMoved",
    "Repository",
    "Slot",
    "Snapshot",
    "TreeEntry",
    "WorktreePool",
    "compile_globs",
    "export",
    "open_repository",
    "show_path",
]
