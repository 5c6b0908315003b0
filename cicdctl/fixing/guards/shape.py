"""Which files a candidate touches, and what kind and size they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from cicdctl.fixing.guards.lost_tests import find_lost_tests
from cicdctl.fixing.guards.patch import MOST_LINE, ChangedFile, GuardPolicy, Patch
from cicdctl.fixing.paths import LOCKS, PathRules, is_stand_in
from cicdctl.git import compile_globs
from cicdctl.model.fixing import FailureBundle, GuardFinding

_PLAIN_MODES = (0o100644, 0o100755)
# Nobody's `paths` open these: what is said of them is said by the operator alone.
_CLOSED = ("pipeline", "protected")


def find_in_paths(patch: Patch, policy: GuardPolicy, bundle: FailureBundle) -> Iterator[GuardFinding]:
    """Yield findings by the path alone.

    A command may change tests that its tool complained about or that its own `paths` name, and must lose none;
    other protected files of its `paths` wait for an approval. A model may change none of them.
    """
    rules = PathRules(None, protected=policy.protected, allowed=policy.allowed, scripts=policy.scripts)
    own = compile_globs(policy.fixer_paths) if policy.fixer_paths else None
    is_lock = compile_globs(LOCKS)
    for file in patch.files:
        hostile = rules.why_hostile(file.path)
        if hostile is not None:
            yield file.finding("paths", "block", hostile)
            continue
        raw = file.path.encode("utf-8", "surrogateescape")
        is_own = own is not None and own(raw)
        if own is not None and not is_own:
            yield file.finding("paths", "block", f"outside the paths of {policy.fixer}")
            continue
        kind = rules.why_protected(file.path)
        if kind is None and file.file.op == "add" and is_stand_in(file.path):
            yield file.finding("test-files", "block", "it would be taken for a program that judges")
            continue
        if kind is None:
            if file.file.op == "add" and _is_library(file.path):
                yield file.finding("new-powers", "needs_approval", "it is found before a module of Python")
            if file.is_test:  # the operator has opened it
                yield from find_lost_tests(file)
        elif policy.kind != "command" or kind in _CLOSED:
            yield file.finding(kind, "block", "files like this are protected")
        elif kind == "test-files" and (is_own or _was_named(file.path, bundle)):
            yield from find_lost_tests(file)
        elif is_own or (policy.fixer == "lock" and is_lock(raw)):
            yield file.finding(kind, "needs_approval", "files like this are changed by people")
        else:
            yield file.finding(kind, "block", "files like this are protected")


def _is_library(path: str) -> bool:
    """Whether a file lies where modules are looked for first, under the name of one of the standard library."""
    folder, _, name = path.rpartition("/")
    return folder in ("", "src", "lib") and name.endswith(".py") and name[:-3] in sys.stdlib_module_names


def _was_named(path: str, bundle: FailureBundle) -> bool:
    """Whether a linter or formatter complained about the file, or about files without naming them."""
    complaints = [one.file for one in bundle.diagnostics if one.kind in ("lint", "format")]
    return path in complaints or (bool(complaints) and not any(complaints))


def find_in_shape(patch: Patch, policy: GuardPolicy) -> Iterator[GuardFinding]:
    """Yield findings by kind, mode and size."""
    for file in patch.files:
        yield from _kind(file)
        if file.new_size > policy.max_file_bytes:
            yield file.finding("size", "block", f"{file.new_size} bytes in one file, {policy.max_file_bytes} may be")
        longest = max((len(line) for _, line in file.added), default=0)
        if longest > MOST_LINE:
            yield file.finding("size", "block", f"a line of {longest} letters, {MOST_LINE} may be")
    candidate = patch.candidate
    for what, found, most in (
        ("files", len(candidate.files), policy.max_files),
        ("changed lines", candidate.added + candidate.deleted, policy.max_lines),
        ("bytes of patch", candidate.bytes, policy.max_bytes),
    ):
        if found > most:
            yield GuardFinding(rule="size", level="block", text=f"{found} {what}, {most} may be")


def _kind(file: ChangedFile) -> Iterator[GuardFinding]:
    changed = file.file
    if changed.new_blob is not None and changed.mode not in _PLAIN_MODES:
        yield file.finding("file-type", "block", "a link or a submodule")
    if changed.old_mode is not None and changed.old_mode not in _PLAIN_MODES:
        yield file.finding("file-type", "block", "it was a link or a submodule")
    was_executable = changed.old_mode == 0o100755
    if changed.new_blob is not None and changed.mode == 0o100755 and not was_executable:
        yield file.finding("file-type", "block", "it became executable")
    if file.is_binary:
        yield file.finding("file-type", "block", "it is binary")
