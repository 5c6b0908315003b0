"""Runs a fixer's commands in a worktree: as a stage runs, without secrets, and without network unless it is told."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cicdctl.errors import CicdError
from cicdctl.process import (
    Control,
    Exit,
    Limits,
    ProcessSpec,
    Sandbox,
    build_environment,
    choose_sandbox,
    probe_sandbox,
    run_process,
)
from cicdctl.process.environment import find_homes, holds_home, toolchain_folders
from cicdctl.project import Project

MOST_OUTPUT = 64_000
_HOME_LINE = re.compile(r"^home\s*=\s*(/\S.*?)\s*$", re.MULTILINE)
GRACE_S = 1.0
# Keys, passwords and their digests below the system's folders: root can read them, and no command of a model needs to.
_SYSTEM_SECRETS = tuple(
    Path("/etc", name)
    for name in (
        *("shadow", "shadow-", "gshadow", "gshadow-", "sudoers", "sudoers.d", "krb5.keytab", "ssh", "ssl/private"),
        *("pki/private", "wireguard", "letsencrypt", "docker", "kubernetes", "rancher", "cicdctl"),
        "NetworkManager/system-connections",
    )
)


class Shop:
    """Where the commands of one attempt run, with a home of their own. Raises CicdError without a sandbox it needs.

    `is_strict`: bubblewrap without network and nothing of our environment, whatever `fix` says; else SandboxError.
    """

    def __init__(
        self,
        project: Project,
        worktree: Path,
        home: Path,
        *,
        network: bool,
        deadline: float,
        cancelled: Callable[[], bool],
        is_strict: bool = False,
    ) -> None:
        self._project = project
        self._worktree = worktree
        self._deadline = deadline
        self._cancelled = cancelled
        allow = () if is_strict else project.settings.fix.env_allow
        self._env = build_environment(project.environ, home=home, tmp=home, allow=allow)
        self._sandbox = _sandbox(project, (worktree, home), network=network, is_strict=is_strict)
        ceiling = project.settings.orchestrator.resources
        self._limits = Limits(memory_bytes=ceiling.max_memory_bytes, cpus=ceiling.max_cpu_cores)

    def run(self, commands: Sequence[str], *, limit_s: float) -> tuple[int, str]:
        """Run shell commands one after another, also after one that fails, and end whatever they leave running.

        Returns the first status that is not 0, and the beginning of the output. Raises CicdError when one does not
        end by itself: killed, out of time, cancelled.
        """
        status, output, control = 0, bytearray(), Control()
        end = min(self._deadline, time.monotonic() + limit_s)
        with _cancelling(control, self._cancelled):
            for command in commands:
                left_s = end - time.monotonic()
                if left_s <= 0 or control.reason is not None:
                    raise CicdError(control.reason or f"it was not done within {limit_s:.0f} s")
                ended = self._run(
                    command, left_s, lambda chunk: output.extend(chunk[: max(0, MOST_OUTPUT - len(output))]), control
                )
                if ended.reason != "exited":
                    raise CicdError(ended.detail or ended.reason)
                if ended.exit_code is None:
                    raise CicdError(f"signal {ended.signal} ended it")
                status = status or ended.exit_code
        return status, output.decode("utf-8", "replace")

    def attempt(self, command: str, *, limit_s: float, take: Callable[[bytes], object]) -> Exit:
        """Run one shell command, and end whatever it leaves running; `take` gets its output. Says how it ended."""
        control = Control()
        left_s = max(0.0, min(limit_s, self._deadline - time.monotonic()))
        with _cancelling(control, self._cancelled):
            return self._run(command, left_s, take, control)

    def _run(self, command: str, limit_s: float, take: Callable[[bytes], object], control: Control) -> Exit:
        spec = ProcessSpec(
            argv=("sh", "-c", command),
            cwd=self._worktree,
            env=self._env,
            mark=f"{self._project.repository.id}/fix",
            timeout_s=limit_s,
            grace_s=GRACE_S,
            limits=self._limits,
            sandbox=self._sandbox,
        )
        return run_process(spec, take, control)


@contextmanager
def open_shop(
    project: Project,
    worktree: Path,
    *,
    network: bool,
    deadline: float,
    cancelled: Callable[[], bool],
    is_strict: bool = False,
) -> Iterator[Shop]:
    """Lend a shop; its home is removed at the end."""
    scratch = project.cache_folder / "scratch"
    scratch.mkdir(mode=0o700, exist_ok=True)
    with TemporaryDirectory(prefix="fix-", dir=scratch, ignore_cleanup_errors=True) as home:
        yield Shop(
            project,
            worktree,
            Path(home),
            network=network,
            deadline=deadline,
            cancelled=cancelled,
            is_strict=is_strict,
        )


def _sandbox(project: Project, writable: tuple[Path, ...], *, network: bool, is_strict: bool) -> Sandbox | None:
    """The best there is, as `fix.sandbox` says; only bubblewrap takes the network away. Raises SandboxError."""
    setting, support = "required" if is_strict else project.settings.fix.sandbox, probe_sandbox()
    if setting == "off" or (setting == "auto" and support.level == "none"):
        return None
    return choose_sandbox(
        "required",
        trusted=False,
        network=network or (setting == "auto" and not support.bwrap),
        writable=writable,
        readonly=(
            *_mirror_of(project, writable[0]),
            *toolchain_folders(project.environ),
            *_interpreters(project.environ.get("PATH", ""), find_homes(project.environ)),
        ),
        hidden=tuple(_readable_secrets()) if is_strict else (),
        path=project.environ.get("PATH", ""),
        home=project.environ.get("HOME", ""),
    )


def _readable_secrets() -> Iterator[Path]:
    """Yield those that we could read, where they really are; a link out of /etc leads nowhere in a sandbox."""
    for path in _SYSTEM_SECRETS:
        if os.access(path, os.R_OK) or os.access(path, os.X_OK):
            real = path.resolve()
            if real.is_relative_to("/etc"):
                yield real


def _mirror_of(project: Project, worktree: Path) -> Iterator[Path]:
    """Yield where the worktree's objects are, since tools ask git for the list of files; never the user's own folder.

    That one holds the secrets.
    """
    pointer = worktree / ".git"
    if pointer.is_symlink() or not pointer.is_file():
        return
    folder = Path(pointer.read_text(errors="replace").removeprefix("gitdir: ").strip())
    mirror = folder.parent.parent
    if folder.parent.name == "worktrees" and mirror.is_dir() and mirror.is_relative_to(project.cache_folder):
        yield mirror


def _interpreters(path: str, homes: Sequence[Path]) -> Iterator[Path]:
    """Yield the installations that virtual environments on PATH are made of: their tools start with that Python."""
    for folder in map(Path, filter(None, path.split(":"))):
        settings = folder.parent / "pyvenv.cfg"
        if not folder.is_absolute() or not settings.is_file():
            continue
        found = _HOME_LINE.search(settings.read_text(errors="replace"))
        prefix = Path(found[1]).resolve().parent if found else Path("/")
        if prefix.is_dir() and not holds_home(prefix, homes) and not prefix.is_relative_to("/usr"):
            yield prefix


@contextmanager
def _cancelling(control: Control, cancelled: Callable[[], bool]) -> Iterator[None]:
    """Ask now and then whether it is still wanted, and end what runs when it is not."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.2):
            if cancelled():
                control.cancel("cancelled")
                return

    watcher = threading.Thread(target=watch, name="fixer-cancel", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
