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
from cicdctl.process.landlock import landlock_version
from cicdctl.process.spec import Sandbox

_PROBE_TIMEOUT_S = 10.0

_lock = threading.Lock()
_support: SandboxSupport | None = None


class SandboxSupport(Value):
    """`bwrap` runs here or `bwrap_problem` says why not; `landlock` is the kernel's version, 0 for none."""

    bwrap: bool
    bwrap_problem: str = ""
    landlock: int = 0


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
    is_trusted: bool,
    network: bool,
    support: SandboxSupport | None = None,
) -> Literal["bwrap", "landlock"] | None:
    """Return the level a stage runs in, None for no sandbox. Probes only when one is needed.

    "auto" sandboxes untrusted stages only; "off" is for the operator to allow, not for an untrusted file.
    Without `network` only bwrap will do. Raises SandboxError when what is needed is not to be had.
    """
    if network and (setting == "off" or (setting == "auto" and is_trusted)):
        return None
    support = support or probe_sandbox()
    if support.bwrap:
        return "bwrap"
    if network and support.landlock:
        return "landlock"
    raise missing_bwrap(support.bwrap_problem or "there is none here")


def path_folders(path: str, extra: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Folders of the operator's PATH, and `extra` ones, that the system folders do not already show.

    Never call it with the PATH of a stage: that may name any folder of the host.
    """
    found: dict[Path, None] = {}
    for folder in [*(Path(part) for part in path.split(":") if part.startswith("/")), *extra]:
        real = Path(os.path.realpath(folder))
        if real.exists() and not any(real.is_relative_to(system) for system in SYSTEM_FOLDERS):
            found[folder] = None
    return tuple(found)
