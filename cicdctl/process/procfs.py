"""What `/proc` says about processes; every reader answers None or nothing for one that is gone."""

from __future__ import annotations

import os

from cicdctl.model import Value

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Stat(Value, frozen=True, kw_only=True):
    """One process. `started` are clock ticks since boot: with `pid` they name it for good."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    started: int


def read_bytes(path: str) -> bytes | None:
    """Read a small kernel file whole; None when it is gone or not ours to read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        parts = [os.read(fd, 65536)]
        while parts[-1]:
            parts.append(os.read(fd, 65536))
        return b"".join(parts)
    except OSError:
        return None
    finally:
        os.close(fd)


def read_stat(pid: int) -> Stat | None:
    """Read the line the kernel keeps of a process, zombies too."""
    line = read_bytes(f"/proc/{pid}/stat")
    if not line:
        return None
    # The name may hold spaces and parentheses; the last one closes it.
    fields = line[line.rindex(b")") + 2 :].split()
    return Stat(
        pid=pid,
        state=fields[0].decode(),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        started=int(fields[19]),
    )


def read_mark(pid: int) -> str | None:
    """Return the `CICD_MARK` a process was started with; None when it has none or hides it."""
    block = read_bytes(f"/proc/{pid}/environ")
    if not block:
        return None
    at = 0 if block.startswith(b"CICD_MARK=") else block.find(b"\0CICD_MARK=") + 1
    if at == 0 and not block.startswith(b"CICD_MARK="):
        return None
    return block[at + len(b"CICD_MARK=") :].split(b"\0", 1)[0].decode("utf-8", "replace")


def resident_bytes(pid: int) -> int:
    """Memory a process holds now, shared pages included; 0 when it is gone."""
    line = read_bytes(f"/proc/{pid}/statm")
    return int(line.split()[1]) * PAGE_BYTES if line else 0


def shared_out_bytes(pid: int) -> int:
    """Like `resident_bytes`, but each page divided by those who share it: slower, never counted twice."""
    text = read_bytes(f"/proc/{pid}/smaps_rollup") or b""
    for line in text.splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return resident_bytes(pid)


def link_of(pid: int, name: str) -> str:
    """Where a link in the folder of a process leads: "cwd", "fd/1"; empty when we may not know."""
    try:
        return os.readlink(f"/proc/{pid}/{name}")  # noqa: PTH115 -- the text is compared
    except OSError:
        return ""


def list_pids() -> list[int]:
    """Every process we can see."""
    return [int(name) for name in _list_names("/proc") if name.isdigit()]


def threads_of(pid: int) -> list[str]:
    """The ids of the threads of a process."""
    return _list_names(f"/proc/{pid}/task")


def _list_names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 -- a Path for each process costs more than the look
    except OSError:
        return []


def children_of(pid: int) -> list[int]:
    """The children of all threads of a process, zombies too."""
    found: list[int] = []
    folder = f"/proc/{pid}/task"
    for thread in threads_of(pid):
        line = read_bytes(f"{folder}/{thread}/children")
        if line is None:
            if os.path.exists(f"{folder}/{thread}"):  # noqa: PTH110 -- a kernel without CONFIG_PROC_CHILDREN
                return _children_by_parent(pid)
            continue
        found.extend(map(int, line.split()))
    return found


def _children_by_parent(pid: int) -> list[int]:
    stats = (read_stat(other) for other in list_pids())
    return [stat.pid for stat in stats if stat is not None and stat.parent == pid]


def now_ticks() -> int:
    """The present in the clock of `Stat.started`."""
    import time

    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * TICKS_PER_S)


def is_gone(pid: int) -> bool:
    """Whether no living process has this number; False also when another has got it since."""
    found = read_stat(pid)
    if found is not None:
        return found.state == "Z"  # dead, and not waited for yet
    try:
        os.kill(pid, 0)  # where there is no /proc
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
