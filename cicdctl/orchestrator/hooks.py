"""Puts git hooks into a repository and takes them out again; what was there before is kept and still runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cicdctl.errors import GitError, StoreError, UsageError
from cicdctl.model import Value
from cicdctl.orchestrator.hook_shims import MARK, PREVIOUS, Shim
from cicdctl.orchestrator.lead import orchestrator_lock
from cicdctl.orchestrator.spool import spool_folder, waiting_pushes
from cicdctl.project import Project
from cicdctl.store import is_locked

HOOKS = ("post-receive", "pre-receive", "pre-push", "pre-commit")
# Without the first a client that sends push options dies, and nothing is pushed; our own refs are nobody's to fetch.
_SETTINGS = (("receive.advertisePushOptions", "true"), ("transfer.hideRefs", "refs/cicd"))
_SERVERS = ("post-receive", "pre-receive")  # where pushes arrive
_OURS = "cicdctl.set"


class HookStatus(Value, frozen=True, kw_only=True):
    """How one hook stands. `state` is `installed`, `absent`, `other` (a hook that is not ours) or `broken`."""

    name: str
    path: Path
    state: str
    problem: str = ""
    keeps: Path | None = None


class Status(Value, frozen=True, kw_only=True):
    """How all hooks of a repository stand; `waiting` pushes lie in the spool, `orchestrator` says who holds it.

    `guarded` are the operator's globs of branches for the pre-receive hook.
    """

    hooks: tuple[HookStatus, ...]
    advertises_options: bool
    waiting: int
    orchestrator: str | None
    guarded: tuple[str, ...] = ()


def hooks_folder(project: Project) -> Path:
    """Return the folder in which git looks for hooks: core.hooksPath, or the repository's own."""
    repository = project.repository
    found = repository.settings.path("core.hookspath")
    if found is None:
        return repository.common_dir / "hooks"
    # git takes a relative one from where it runs the hook: the top of the working tree, else the git folder.
    return found if found.is_absolute() else (repository.work_tree or repository.git_dir) / found


def install(project: Project, hook: str) -> Path:
    """Install a hook, or write it anew; one that was there before is kept and called by ours.

    Raises UsageError for a hook that we have not, StoreError when the folder cannot be written, GitError.
    """
    _check_name(hook)
    folder = hooks_folder(project)
    path = folder / hook
    shim = Shim(
        hook=hook,
        git_dir=Path(os.path.realpath(project.repository.common_dir)),
        folder=Path(os.path.realpath(project.repository.work_tree or project.repository.git_dir)),
        python=sys.executable,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path) and not _is_ours(path):
            previous = path.with_name(hook + PREVIOUS)
            if os.path.lexists(previous):
                raise StoreError(f'"{previous}" is in the way', hint=f'"{path}" is not ours; make one hook of both')
            path.rename(previous)
        aside = path.with_name(f"{hook}.{os.getpid()}")
        aside.write_text(shim.text(), encoding="utf-8", errors="surrogateescape")
        aside.chmod(0o755)
        aside.replace(path)
    except OSError as error:
        raise StoreError(f'cannot write "{path}": {error.strerror}', hint="check owner and mode") from error
    if hook == "post-receive":
        spool_folder(project).mkdir(mode=0o700, exist_ok=True)
    if hook in _SERVERS:
        _set_up(project)
    return path


def uninstall(project: Project, hook: str) -> bool:
    """Remove our hook, put the one before it back, and our settings; False when it was not installed."""
    _check_name(hook)
    path = hooks_folder(project) / hook
    if not _is_ours(path):
        return False
    previous = path.with_name(hook + PREVIOUS)
    try:
        if os.path.lexists(previous):
            previous.replace(path)
        else:
            path.unlink()
    except OSError as error:
        raise StoreError(f'cannot remove "{path}": {error.strerror}', hint="check owner and mode") from error
    if hook in _SERVERS and not any(_is_ours(path.with_name(other)) for other in _SERVERS):
        _take_down(project)
    return True


def status(project: Project) -> Status:
    """Look at the hooks, the setting they need, the spool and the orchestrator."""
    told = _git(project, ["config", "--type=bool", "--get", "receive.advertisePushOptions"], may_fail=True)
    return Status(
        hooks=tuple(_status_of(project, hook) for hook in HOOKS),
        advertises_options=told == "true",
        waiting=len(waiting_pushes(project)),
        orchestrator=is_locked(orchestrator_lock(project)),
        guarded=project.settings.orchestrator.gate.branches,
    )


def _status_of(project: Project, hook: str) -> HookStatus:
    path = hooks_folder(project) / hook
    previous = path.with_name(hook + PREVIOUS)
    keeps = previous if os.path.lexists(previous) else None
    if not os.path.lexists(path):
        return HookStatus(name=hook, path=path, state="absent")
    if not _is_ours(path):
        return HookStatus(name=hook, path=path, state="other")
    problem = ""
    text = path.read_text("utf-8", "surrogateescape")
    python = next((line for line in text.splitlines() if line.startswith("python=")), "")
    if not os.access(path, os.X_OK):
        problem = "it is not executable: git passes it over"
    elif not os.access(python.removeprefix("python=").strip("'"), os.X_OK):
        problem = "its Python is gone"
    elif hook == "post-receive" and not os.access(spool_folder(project), os.W_OK | os.X_OK):
        problem = f'it cannot write to "{spool_folder(project)}"'
    elif f"git_dir={os.path.realpath(project.repository.common_dir)}" not in text.replace("'", ""):
        problem = "it was installed for another repository"
    state = "broken" if problem else "installed"
    return HookStatus(name=hook, path=path, state=state, problem=problem, keeps=keeps)


def _check_name(hook: str) -> None:
    if hook not in HOOKS:
        from cicdctl.near_words import near_word

        raise UsageError(f'there is no hook "{hook}"{near_word(hook, HOOKS)}', hint="hooks: " + ", ".join(HOOKS))


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(200)
    except OSError:
        return False


def _set_up(project: Project) -> None:
    for name, value in _SETTINGS:
        present = _git(project, ["config", "--local", "--get-all", name], may_fail=True).splitlines()
        if value not in present:
            _git(project, ["config", "--local", "--add", name, value])
            _git(project, ["config", "--local", "--add", _OURS, name])


def _take_down(project: Project) -> None:
    ours = _git(project, ["config", "--local", "--get-all", _OURS], may_fail=True).splitlines()
    for name, value in _SETTINGS:
        if name in ours:
            _git(project, ["config", "--local", "--unset", name, f"^{value}$"], may_fail=True)
    _git(project, ["config", "--local", "--unset-all", _OURS], may_fail=True)


def _git(project: Project, words: Sequence[str], *, may_fail: bool = False) -> str:
    """Ask the git program about this repository. Raises GitError when it fails and may not."""
    repository = project.repository
    assert repository.git_program is not None
    kept = ("PATH", "HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM")
    env = {name: project.environ[name] for name in kept if name in project.environ} | {"LC_ALL": "C"}
    argv = ["git", f"--git-dir={repository.git_dir}", *words]
    try:
        code, out, err = repository.git_program(argv, cwd=repository.common_dir, env=env)
    except FileNotFoundError as error:
        raise GitError("the git program is not there", hint="install git") from error
    if code != 0 and not may_fail:
        raise GitError(f"git {words[0]}: {err.decode('utf-8', 'replace').strip()}")
    return out.decode("utf-8", "surrogateescape").strip()
