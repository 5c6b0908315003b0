"""Finds the files a stage left that match globs, without following a link."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from cicdctl.store.collect import find_paths


def find_files(root: Path, matches: Callable[[bytes], bool], globs: Sequence[str]) -> list[bytes]:
    """Return the matching files and links below `root`, sorted; `.git` folders are passed over."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return sorted(path for path, is_folder in find_paths(descriptor, matches, globs) if not is_folder)
    finally:
        os.close(descriptor)
