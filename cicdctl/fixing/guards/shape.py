"""Which files a candidate touches, and what kind and size they are."""

from __future__ import annotations

from collections.abc import Iterator

from cicdctl.fixing.guards.patch import ChangedFile, GuardPolicy, Patch
from cicdctl.fixing.guards.python_code import lost_tests
from cicdctl.fixing.paths import LOCKS, PathRules
from cicdctl.git import compile_globs
from cicdctl.model.fixing import GuardFinding

_PLAIN_MODES = (0o100644, 0o100755)


def find_in_paths(patch: Patch, policy: GuardPolicy) -> Iterator[GuardFinding]:
    """Yield findings by the path alone. A command fixer may write where its own `paths` say, tests included."""
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
        if kind == "dependencies" and policy.kind == "command" and policy.fixer == "lock" and is_lock(raw):
            yield file.finding("dependencies", "needs_approval", "the lock file is written anew")
        elif kind is not None and kind != "pipeline" and policy.kind == "command" and (is_own or kind == "test-files"):
            if kind == "test-files":
                yield from lost_tests(file)
        elif kind is not None:
            yield file.finding(kind, "block", "files like this are protected")


def find_in_shape(patch: Patch, policy: GuardPolicy) -> Iterator[GuardFinding]:
    """Yield findings by kind, mode and size."""
    for file in patch.files:
        yield from _kind(file)
        if file.new_size > policy.max_file_bytes:
            yield file.finding("size", "block", f"{file.new_size} bytes in one file, {policy.max_file_bytes} may be")
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
