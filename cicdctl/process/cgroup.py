"""A cgroup v2 of its own for a process tree: exact membership, exact limits, one write to kill it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from cicdctl.model import Value
from cicdctl.process import procfs
from cicdctl.process.spec import Limits

_CPU_PERIOD_US = 100_000
_WANTED = ("memory", "cpu", "pids")

_lock = threading.Lock()
_support: CgroupSupport | None = None
_count = 0


class CgroupSupport(Value, frozen=True, kw_only=True):
    """What the kernel lets us do: a folder to make cgroups in, and the controllers that work there."""

    folder: Path | None
    controllers: tuple[str, ...] = ()
    reason: str = ""


def probe_cgroup() -> CgroupSupport:
    """Make a cgroup, once in the life of this process, and see what it can hold."""
    global _support
    with _lock:
        if _support is None:
            _support = _probe()
        return _support


def _probe() -> CgroupSupport:
    base = _own_folder()
    if base is None:
        return CgroupSupport(folder=None, reason="no cgroup v2 is mounted")
    trial = base / f"cicdctl-{os.getpid()}-probe"
    try:
        trial.mkdir()
    except OSError as error:
        return CgroupSupport(folder=None, reason=f"{base}: {error.strerror}")
    try:
        if not (trial / "cgroup.kill").exists():
            return CgroupSupport(folder=None, reason="this kernel has no cgroup.kill (Linux 5.14)")
        reason = _enable_controllers(base)
        found = (trial / "cgroup.controllers").read_text().split()
        return CgroupSupport(folder=base, controllers=tuple(n for n in _WANTED if n in found), reason=reason)
    except OSError as error:
        return CgroupSupport(folder=base, reason=f"{base}: {error.strerror}")
    finally:
        trial.rmdir()


def _own_folder() -> Path | None:
    """The cgroup this process is in."""
    mounts = (procfs.read_bytes("/proc/self/mountinfo") or b"").decode("utf-8", "replace").splitlines()
    roots = [line.split()[4] for line in mounts if " - cgroup2 " in line]
    lines = (procfs.read_bytes("/proc/self/cgroup") or b"").decode("utf-8", "replace").splitlines()
    own = [line[3:] for line in lines if line.startswith("0::")]
    if not roots or not own or own[0].startswith("/.."):
        return None
    return Path(roots[0]) / own[0].lstrip("/")


def _enable_controllers(base: Path) -> str:
    """Hand the controllers down to children of `base`; say why not. We may be moved to a leaf of our own."""
    offered = (base / "cgroup.controllers").read_text().split()
    missing = [name for name in _WANTED if name in offered]
    missing = [name for name in missing if name not in (base / "cgroup.subtree_control").read_text().split()]
    if not any(name in offered for name in _WANTED):
        return "no memory, cpu or pids controller is delegated"
    if not missing:
        return ""
    # Controllers reach children only when no process is in the parent (else EBUSY), and we may be the one.
    inside = (base / "cgroup.procs").read_text().split()
    if inside == [str(os.getpid())] and (base / "cgroup.type").exists():
        leaf = base / f"cicdctl-{os.getpid()}"
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text(str(os.getpid()))
    try:
        (base / "cgroup.subtree_control").write_text(" ".join("+" + name for name in missing))
    except OSError as error:
        return f"{base}: controllers cannot be enabled: {error.strerror}"
    return ""


class Cgroup:
    """One cgroup, removed by `close`."""

    def __init__(self, support: CgroupSupport, limits: Limits) -> None:
        global _count
        if support.folder is None:
            raise OSError(support.reason)
        with _lock:
            _count += 1
            self.folder = support.folder / f"cicdctl-{os.getpid()}-{_count}"
        self.folder.mkdir()
        self._has_memory = "memory" in support.controllers
        try:
            self._set(support, limits)
        except OSError:
            self.folder.rmdir()
            raise

    def _set(self, support: CgroupSupport, limits: Limits) -> None:
        if self._has_memory and limits.memory_bytes is not None:
            self._write("memory.max", str(limits.memory_bytes))
            self._write("memory.oom.group", "1")
            if (self.folder / "memory.swap.max").exists():
                self._write("memory.swap.max", "0")
        if "cpu" in support.controllers and limits.cpus is not None:
            self._write("cpu.max", f"{int(limits.cpus * _CPU_PERIOD_US)} {_CPU_PERIOD_US}")
        if "pids" in support.controllers and limits.processes is not None:
            self._write("pids.max", str(limits.processes))

    def _write(self, name: str, text: str) -> None:
        fd = os.open(self.folder / name, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def add(self, pid: int) -> None:
        """Move a process in; what it starts from now on is born inside."""
        self._write("cgroup.procs", str(pid))

    def pids(self) -> list[int]:
        """Its living processes."""
        return [int(line) for line in (procfs.read_bytes(f"{self.folder}/cgroup.procs") or b"").split()]

    def kill(self) -> None:
        """SIGKILL all of it, also what is being forked."""
        self._write("cgroup.kill", "1")

    def memory_peak(self) -> int | None:
        """Peak bytes, None without the controller or before Linux 5.19."""
        text = procfs.read_bytes(f"{self.folder}/memory.peak") if self._has_memory else None
        return int(text) if text else None

    def was_out_of_memory(self) -> bool:
        """Whether the kernel killed in it for want of memory."""
        text = procfs.read_bytes(f"{self.folder}/memory.events") if self._has_memory else None
        counts = dict(line.split() for line in (text or b"").splitlines())
        return int(counts.get(b"oom_kill", 0)) > 0

    def close(self) -> None:
        """Remove it; the last dead process may need a moment to leave."""
        for _ in range(100):
            try:
                self.folder.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.002)
