"""Finds the report files that a stage left and has them read; what is wrong with one is a warning."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from cicdctl.errors import CicdError, describe
from cicdctl.git import compile_globs
from cicdctl.model import Coverage, Reports, TestReport
from cicdctl.runner.places import open_plain

MAX_FILES = 2_000

# Ids of tests by file and by `passed failed skipped`.
Suites = dict[str, dict[str, set[str]]]


def read_reports(
    reports: Reports, worktree: Path, *, mask: Callable[[str], str], warnings: list[str]
) -> tuple[TestReport | None, Coverage | None, Suites]:
    """Return what the tests and the coverage files say, each None when there is no file or one cannot be read.

    The last value is empty without tests, and when they are too many to keep.
    """
    tests = coverage = None
    suites: Suites = {}
    if reports.junit:
        from cicdctl.runner.junit_report import read_junit

        read = partial(read_junit, mask=mask, suites=suites)
        tests = _read(read, "junit", worktree, reports.junit, warnings)
    if reports.coverage:
        from cicdctl.runner.coverage_report import read_coverage

        coverage = _read(read_coverage, "coverage", worktree, reports.coverage, warnings)
    return tests, coverage, suites if tests is not None else {}


def _read(read: Callable[..., Any], kind: str, worktree: Path, globs: tuple[str, ...], warnings: list[str]) -> Any:
    try:
        names = find_matching(worktree, globs)
        if not names:
            warnings.append(f"reports.{kind}: nothing matches {', '.join(globs)}")
            return None
        if len(names) > MAX_FILES:
            warnings.append(f"reports.{kind}: {len(names):,} files match; the first {MAX_FILES:,} are read")
        return read(_open_each(worktree, names[:MAX_FILES]))
    except (ValueError, OSError, CicdError) as error:
        warnings.append(f"reports.{kind}: {describe(error)}")
    return None


def _open_each(worktree: Path, names: list[bytes]) -> Iterator[tuple[str, BinaryIO]]:
    for name in names:
        with open_plain(os.fsencode(worktree) + b"/" + name) as file:
            yield os.fsdecode(name), file


def find_matching(worktree: Path, globs: tuple[str, ...]) -> list[bytes]:
    """Return the paths below the worktree that match. Raises StoreError when they are too many or too deep, OSError."""
    from cicdctl.store.matching import find_files

    return find_files(worktree, compile_globs(globs), globs)
