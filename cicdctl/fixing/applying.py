"""Takes a fix over into the user's own branch or files, and back: only when asked, and never over other changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from cicdctl.errors import CicdError, GitError, UsageError
from cicdctl.fixing.judging import waiting
from cicdctl.git import RefMoved
from cicdctl.model.fix_record import FixOutcome, FixRecord
from cicdctl.model.fixing import CandidateFile
from cicdctl.project import Project

UNDO_PREFIX = "refs/cicd/undo/"
# Git is asked to merge and to move files, which it knows best; nothing that the repository configures runs.
SAFE = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "commit.gpgSign=false")
IDENTITY = {"GIT_COMMITTER_NAME": "cicdctl fix", "GIT_COMMITTER_EMAIL": "cicdctl@localhost"}


class NotApproved(CicdError):
    """A finding waits for a person."""

    exit_code = 6


def apply_fix(project: Project, record: FixRecord, *, branch: str | None = None, commits: bool = True) -> FixRecord:
    """Bring a fix to the branch that is checked out, or to another one; return the record with where it went.

    Fast-forward where the branch is at the base, else a cherry-pick. `commits=False` only changes the files. A fix
    of a snapshot changes just its files, if they are as they were. Raises NotApproved, UsageError, GitError.
    """
    _refuse_unready(record)
    if branch is not None:
        return _move_branch(project, record, branch)
    folder = project.repository.work_tree
    if folder is None:
        raise UsageError("a bare repository has no files", hint="--branch NAME moves a branch")
    is_snapshot = project.state.load(record.run)
    if is_snapshot is not None and is_snapshot.run.snapshot:
        return _edit_files(project, record, folder)
    head = project.repository.head()
    if head.oid is None:
        raise GitError("there is no commit to apply it to")
    undo = remember_tip(project, record, head.oid)
    if not commits:
        _git(project, folder, "cherry-pick", "--no-commit", _commit_of(record))
        return _applied(project, record, undo, None)
    if head.oid == record.base:
        _git(project, folder, "merge", "--ff-only", "--no-edit", "--quiet", _commit_of(record))
    else:
        try:
            _git(project, folder, "cherry-pick", _commit_of(record))
        except GitError:
            _git(project, folder, "cherry-pick", "--abort", may_fail=True)
            raise
    return _applied(project, record, undo, project.repository.head().oid)


def undo_fix(project: Project, record: FixRecord) -> FixRecord:
    """Bring branch or files back to the exact place before `apply_fix`. Raises UsageError when more has happened."""
    if record.undo_ref is None:
        raise UsageError(f"fix {record.id} is not applied", hint=f"cicdctl fix show {record.id}")
    store = project.repository.ref_store
    before = store.read(record.undo_ref)
    folder = project.repository.work_tree
    if before is None:
        raise GitError(f"{record.undo_ref!r} is gone")
    if record.applied_to is None or record.applied_to.startswith("files"):
        if folder is None:
            raise UsageError("a bare repository has no files")
        _put_back(project, record, folder)
    else:
        ref, _, tip = record.applied_to.partition(" ")
        head = project.repository.head()
        current = head.oid if ref == "HEAD" else store.read(ref)
        if current != tip:
            raise UsageError(
                f'"{ref}" has moved since the fix was applied', hint=f"git revert {tip[:10]} takes it back"
            )
        if folder is not None and ref in ("HEAD", head.ref):
            _git(project, folder, "reset", "--keep", "--quiet", before)
        else:
            store.swap(ref, tip, before)
    store.swap(record.undo_ref, before, None)
    record = replace(record, undo_ref=None, applied_to=None)
    project.fixes.save(record, "undone")
    return record


def _refuse_unready(record: FixRecord) -> None:
    if record.rejection is not None:
        raise UsageError(f"fix {record.id} was rejected: {record.rejection or 'no reason given'}")
    held = waiting(record.findings)
    if record.outcome is FixOutcome.WAITING_FOR_APPROVAL and held:
        raise NotApproved(
            f"fix {record.id} waits for an approval: {held[0].rule}: {held[0].text}",
            hint=f"cicdctl fix approve {record.id} --finding {held[0].rule}",
        )
    if record.outcome not in (FixOutcome.FIXED, FixOutcome.WAITING_FOR_APPROVAL) or record.commit is None:
        raise UsageError(f"fix {record.id} has nothing to apply: {record.outcome or record.state}")
    if record.undo_ref is not None:
        raise UsageError(f"fix {record.id} is applied already", hint=f"cicdctl fix undo {record.id} takes it back")


def _commit_of(record: FixRecord) -> str:
    assert record.commit is not None
    return record.commit


def remember_tip(project: Project, record: FixRecord, tip: str) -> str:
    """Write down where a branch was, and return the name of the ref that says so."""
    name = UNDO_PREFIX + "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in record.id)
    project.repository.ref_store.swap(name, project.repository.ref_store.read(name), tip)
    return name


def _applied(project: Project, record: FixRecord, undo: str, tip: str | None) -> FixRecord:
    head = project.repository.head()
    where = "files" if tip is None else f"{head.ref or 'HEAD'} {tip}"
    record = replace(record, undo_ref=undo, applied_to=where)
    project.fixes.save(record, f"applied to {where}")
    return record


def _move_branch(project: Project, record: FixRecord, branch: str) -> FixRecord:
    ref = branch if branch.startswith("refs/heads/") else f"refs/heads/{branch}"
    repository = project.repository
    if repository.head().ref == ref and repository.work_tree is not None:
        raise UsageError(f'"{branch}" is checked out', hint="without --branch the fix is applied to it and its files")
    current = repository.ref_store.read(ref)
    if current not in (None, record.base):
        raise UsageError(
            f'"{branch}" is not at {record.base[:10]}, where the fix was made', hint="check it out and apply"
        )
    undo = remember_tip(project, record, record.base)
    try:
        repository.ref_store.swap(ref, current, record.commit)
    except RefMoved as error:
        raise UsageError(f'"{branch}" has just moved') from error
    record = replace(record, undo_ref=undo, applied_to=f"{ref} {record.commit}")
    project.fixes.save(record, f"applied to {ref}")
    return record


def _edit_files(project: Project, record: FixRecord, folder: Path) -> FixRecord:
    """Change the files of a snapshot's fix, each only if all still hold what was fixed; never the index."""
    assert record.candidate is not None
    undo = remember_tip(project, record, record.base)
    _write_files(project, folder, record.candidate.files, to_new=True)
    record = replace(record, undo_ref=undo, applied_to="files of the snapshot")
    project.fixes.save(record, "applied to the files")
    return record


def _put_back(project: Project, record: FixRecord, folder: Path) -> None:
    assert record.candidate is not None
    _write_files(project, folder, record.candidate.files, to_new=False)


def _write_files(project: Project, folder: Path, files: tuple[CandidateFile, ...], *, to_new: bool) -> None:
    """Replace contents, after all were seen to be what they should be. Raises UsageError."""
    contents: dict[Path, bytes | None] = {}
    for file in files:
        path = folder / file.path
        wanted, found = (file.new_blob, file.old_blob) if to_new else (file.old_blob, file.new_blob)
        if path.is_symlink() or any(parent.is_symlink() for parent in _parents(path, folder)):
            raise UsageError(f'"{file.path}" is a link now')
        current = path.read_bytes() if path.is_file() else None
        expected = None if found is None else project.repository.read_object(found)[1]
        if current != expected:
            raise UsageError(f'"{file.path}" has changed since', hint="cicdctl fix diff shows the patch")
        contents[path] = None if wanted is None else project.repository.read_object(wanted)[1]
    for path, content in contents.items():
        if content is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _parents(path: Path, folder: Path) -> list[Path]:
    return [parent for parent in path.parents if parent != folder and parent.is_relative_to(folder)]


def _git(project: Project, folder: Path, *arguments: str, may_fail: bool = False) -> None:
    program = project.repository.git_program
    if program is None:
        raise GitError("the git program is not available")
    status, _, errors = program(("git", *SAFE, *arguments), cwd=folder, env=_environment(project.environ))
    if status and not may_fail:
        words = errors.decode("utf-8", "replace").strip().splitlines()
        raise GitError(f"git {arguments[0]} failed: {words[0] if words else status}", hint=" ".join(words[1:3]))


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What git needs to run in the user's own worktree, without what would point it at another repository."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_CONFIG_HOME")
    return {name: environ[name] for name in kept if name in environ} | IDENTITY | {"GIT_TERMINAL_PROMPT": "0"}
