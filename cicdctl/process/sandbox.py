"""Which sandbox a stage gets: found out by running one, and chosen so that doubt means none runs."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from cicdctl.model import Value
from cicdctl.process.bwrap import SYSTEM_FOLDERS, bwrap_program, missing_bwrap, mount_arguments
from cicdctl.process.environment import find_homes, holds_home
from cicdctl.process.landlock import landlock_version
from cicdctl.process.spec import Sandbox

_PROBE_TIMEOUT_S = 10.0

_lock = threading.Lock()
_support: SandboxSupport | None = None


class SandboxSupport(Value, frozen=True, kw_only=True):
    """`bwrap` runs here or `bwrap_problem` says why not; `landlock` is the kernel's version, 0 for none."""

    bwrap: bool
    bwrap_problem: str = ""
    landlock: int = 0

    @property
    def level(self) -> Literal["bwrap", "landlock", "none"]:
        """The best there is."""
        return "bwrap" if self.bwrap else "landlock" if self.landlock else "none"

    @property
    def detail(self) -> str:
        """One line for people."""
        if self.bwrap:
            return "bubblewrap works"
        return self.bwrap_problem + (f"; Landlock {self.landlock} is there" if self.landlock else "")


def probe_sandbox() -> SandboxSupport:
    """Run a real sandbox, once in the life of this process, because being installed does not mean it works."""
    global _support
    with _lock:
        if _support is None:
            problem = _try_bwrap()
            _support = SandboxSupport(bwrap=not problem, bwrap_problem=problem, landlock=landlock_version())
        return _support


def _try_bwrap() -> str:
    program = bwrap_program()
    if program is None:
        return "bwrap is not installed"
    argv = [program, *mount_arguments(Sandbox()), "--", "/bin/sh", "-c", "exit 42"]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={},
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bwrap does not run: {error}"
    if done.returncode == 42:
        return ""
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"bwrap ended with status {done.returncode}"


def choose_sandbox(
    setting: Literal["auto", "required", "off"],
    *,
    trusted: bool,
    network: bool,
    writable: Sequence[Path] = (),
    readonly: Sequence[Path] = (),
    hidden: Sequence[Path] = (),
    path: str = "",
    home: str = "",
    support: SandboxSupport | None = None,
) -> Sandbox | None:
    """Return the sandbox a stage runs in, None for none. Probes only when one is needed.

    "auto" sandboxes untrusted stages only; "off" is for the operator to allow, not for an untrusted file.
    Without `network` only bubblewrap will do. `path` is the operator's PATH, whose folders become readable,
    but for `home`, the operator's HOME.
    Raises SandboxError when what is needed is not to be had.
    """
    if network and (setting == "off" or (setting == "auto" and trusted)):
        return None
    support = support or probe_sandbox()
    if not support.bwrap and not (network and support.landlock):
        raise missing_bwrap(support.bwrap_problem or "there is none here")
    return Sandbox(
        level="bwrap" if support.bwrap else "landlock",
        writable=tuple(writable),
        readonly=(*readonly, *path_folders(path, home)),
        hidden=tuple(hidden),
        network=network,
    )


def path_folders(path: str, home: str = "") -> tuple[Path, ...]:
    """Folders of the operator's PATH that the system folders do not already show; a venv is shown whole.

    `home`, the home our user has by its entry, and folders above one are never among them. Never call it with
    the PATH of a stage: that may name any folder of the host.
    """
    homes = find_homes({"HOME": home})
    found: dict[Path, None] = {}
    for part in path.split(":"):
        folder = Path(part)
        real = Path(os.path.realpath(folder))
        if not folder.is_absolute() or not real.is_dir() or real == Path("/"):
            continue
        if not any(real.is_relative_to(system) for system in SYSTEM_FOLDERS):
            shown = folder.parent if (folder.parent / "pyvenv.cfg").is_file() else folder
            if not holds_home(shown, homes):
                found[shown] = None
    return tuple(found)
