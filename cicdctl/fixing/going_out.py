"""What a fix may do beyond its own branch, where it is told to: move the branch it is for, and push its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cicdctl.fixing.applying import remember_tip
from cicdctl.fixing.judging import waiting
from cicdctl.fixing.work import Work
from cicdctl.git import RefMoved
from cicdctl.planning.names import matches_name
from cicdctl.project import Project

PROTECTED_BRANCHES = ("main", "master", "trunk", "dev", "stable", "canary", "release/*", "production")


def why_not_applied(work: Work) -> str | None:
    """Say why a fix stays an offer; None when it may be applied by itself. Never one of a model."""
    record, settings, fixer = work.record, work.settings, work.fixer
    verification = record.verification
    if settings.mode != "auto":
        return 'fix.mode is not "auto"'
    if fixer is None or fixer.is_ai:
        return "what a model wrote is never applied by itself"
    if fixer.name not in settings.auto_apply and fixer.fixer.kind not in settings.auto_apply:
        return f'fix.auto_apply does not name "{fixer.name}"'
    if verification is None or verification.scope != "full" or verification.integrity != "ok":
        return "only what the whole pipeline has proved, tests counted, is applied by itself"
    if waiting(record.findings):
        return "a finding waits for a person"
    if not _has_bwrap():
        return "without bubblewrap nothing is applied by itself"
    if record.ref is None or not record.ref.startswith("refs/heads/") or work.summary.run.snapshot:
        return "it is not of a branch"
    branch = record.ref.removeprefix("refs/heads/")
    if is_protected(work, branch):
        return f'"{branch}" is protected'
    if record.ref in checked_out(work):
        return f'"{branch}" is checked out'
    return None


def apply_by_itself(work: Work) -> bool:
    """Move the branch to the fix, when it still is where it failed; whether it was moved."""
    why = why_not_applied(work)
    record = work.record
    if why is not None or record.ref is None or record.commit is None:
        return False
    undo = remember_tip(work.project, record, record.base)
    try:
        work.project.repository.ref_store.swap(record.ref, record.base, record.commit)
    except RefMoved:
        if work.project.repository.ref_store.read(record.ref) != record.commit:  # not ours from before a kill
            work.tell(f"{record.ref} has moved: the fix stays an offer")
            return False
    work.note(f"applied to {record.ref}", undo_ref=undo, applied_to=f"{record.ref} {record.commit}")
    work.tell(f"applied to {record.ref}; cicdctl fix undo {record.id} takes it back")
    return True


def push_branch(work: Work) -> None:
    """Push exactly the fix's own branch to where the repository comes from. What fails is told and changes nothing."""
    record, repository = work.record, work.project.repository
    if not work.settings.push or record.branch is None or record.commit is None or work.summary.run.snapshot:
        return
    remote = work.project.settings.project.repository or "origin"
    known = origin_of(work.project)
    if is_protected(work, record.branch.removeprefix("refs/heads/")):
        return
    if record.push_url is not None and digest_of_url(known) != record.push_url:
        work.tell("not pushed: the address of the remote has changed since the fix began")
        return
    program = repository.git_program
    if program is None or (remote == "origin" and known is None):
        work.tell("not pushed: there is no remote")
        return
    kept = ("PATH", "HOME", "SSH_AUTH_SOCK", "XDG_CONFIG_HOME", "GIT_SSH_COMMAND")
    env = {name: work.project.environ[name] for name in kept if name in work.project.environ}
    argv = ("git", "-c", "core.hooksPath=/dev/null", "push", "--no-verify", "--quiet", "--end-of-options", remote)
    refspec = f"{record.commit}:{record.branch}"
    cwd = repository.work_tree or repository.git_dir
    status, _, errors = program((*argv, refspec), cwd=cwd, env=env | {"GIT_TERMINAL_PROMPT": "0"})
    if status != 0:
        words = errors.decode("utf-8", "replace").strip().splitlines()
        work.tell(work.redactor.text(f"not pushed: {words[-1] if words else status}"))
        return
    work.note("pushed")
    work.tell(f"pushed {record.branch.removeprefix('refs/heads/')}")


def origin_of(project: Project) -> str | None:
    """Return the address that the repository was cloned from, as its configuration has it."""
    return next(iter(project.repository.config.get("remote.origin.url") or []), None)


def digest_of_url(url: str | None) -> str | None:
    """Return what a record keeps of an address: it is compared later, and may hold a password."""
    return None if url is None else f"sha256:{hashlib.sha256(url.encode('utf-8', 'surrogateescape')).hexdigest()}"


def is_protected(work: Work, branch: str) -> bool:
    """Whether a branch is one that only people move."""
    default = work.project.repository.default_branch()
    names = (*PROTECTED_BRANCHES, *work.settings.protected_branches, *((default,) if default else ()))
    return matches_name(names, branch)


def checked_out(work: Work) -> set[str]:
    """Return the branches that some worktree has checked out: moving one would change files under somebody."""
    repository = work.project.repository
    heads = [repository.common_dir / "HEAD"] if repository.work_tree is not None else []
    heads += sorted((repository.common_dir / "worktrees").glob("*/HEAD"))
    return {ref for head in heads if (ref := _ref_in(head)) is not None}


def _ref_in(head: Path) -> str | None:
    try:
        text = head.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return None
    return text.removeprefix("ref:").strip() if text.startswith("ref:") else None


def _has_bwrap() -> bool:
    from cicdctl.process import probe_sandbox

    return bool(probe_sandbox().bwrap)


