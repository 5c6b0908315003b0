"""What to run and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from cicdctl.model import Value


class Limits(Value, frozen=True, kw_only=True):
    """Ceilings of one process tree; None is no limit. `processes` counts the whole tree.

    `cpus` may be a fraction, which only a cgroup can hold; elsewhere it is rounded up to whole cores.
    `open_files` and `file_size_bytes` hold for each process. `nice` is added to ours, 0 to 19.
    """

    memory_bytes: int | None = None
    cpus: float | None = None
    processes: int | None = 4096
    open_files: int | None = None
    file_size_bytes: int | None = None
    nice: int | None = None


class Sandbox(Value, frozen=True, kw_only=True):
    """What a sandboxed process may see; the system's programs are always readable.

    `writable` and `readonly` are absolute folders or files that exist; `hidden` are those below them, or below
    the system's folders, that shall look empty (folders) or not be readable (files). Without `network` there is only
    a loopback device, which needs bwrap; it is the one of the process `network_of` where that is given (see
    `shared_network`).
    """

    level: Literal["bwrap", "landlock"] = "bwrap"
    writable: tuple[Path, ...] = ()
    readonly: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    network: bool = False
    network_of: int | None = None


class ProcessSpec(Value, frozen=True, kw_only=True):
    """One program to run in a session of its own, stdin from /dev/null, stdout and stderr one pipe.

    `env` is everything it gets, but for `CICD_MARK`, which is set to `mark`. `idle_timeout_s` is the
    longest silence. After SIGTERM it has `grace_s` before SIGKILL. `backend` says how its descendants
    are held together: "auto" takes a cgroup where controllers are delegated.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    mark: str
    timeout_s: float | None = None
    idle_timeout_s: float | None = None
    grace_s: float = 10.0
    limits: Limits = Limits()
    sandbox: Sandbox | None = None
    backend: Literal["auto", "cgroup", "tree"] = "auto"


Reason = Literal["exited", "timed_out", "idle", "cancelled", "memory", "sandbox", "lost"]


class Exit(Value, frozen=True, kw_only=True):
    """How a process tree ended.

    `exit_code` is None when a signal ended the program, or when it never ran. `reason` says who ended
    it: "exited" by itself (also by a foreign signal), "timed_out" and "idle" by our clocks, "cancelled"
    by a `Control`, "memory" by its limit; "sandbox" when the sandbox did not start it, "lost" when its
    status could not be read. `detail` is for people. `peak_memory_bytes` is 0 when it was too short or
    too small to be measured. `leftovers` counts processes that the program left behind and that were
    killed, `survivors` those that could not be. `enforced_by` is "cgroup", "polling" or "none";
    `sandbox` "bwrap", "landlock" or "none".
    """

    exit_code: int | None
    signal: int | None = None
    reason: Reason = "exited"
    detail: str = ""
    seconds: float = 0.0
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    leftovers: int = 0
    survivors: int = 0
    enforced_by: str = "none"
    sandbox: str = "none"
