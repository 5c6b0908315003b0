"""The processes of one stage: who belongs to it, and the end of all of them.

A runner runs several stages at once and adopts every orphan of each, so an orphan must be put down to
a stage before it may be touched: by its session, by the tree as it was seen, by its `CICD_MARK`, by the
output pipe it holds. What stays unknown is left alone while another stage that could own it is open.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterable
from itertools import count
from typing import TYPE_CHECKING

from cicdctl.process import procfs
from cicdctl.process.procfs import Stat

if TYPE_CHECKING:
    import resource

# Guards the list of open families and our own list of children: whoever starts or reaps a child holds it.
LOCK = threading.RLock()

# A stranger that has been a zombie for so long has no other reader of its status.
_STRANGER_S = 1.0
_LOOKS = 50
_GENTLE_LOOKS = 3

_families: dict[int, Family] = {}
_detached: dict[int, int] = {}  # our children that belong to no stage and outlive us: pid, and when it started
_strangers: dict[int, float] = {}  # pids of zombies, with the time they were first seen
_suspects: dict[tuple[int, int], set[str]] = {}


class Family:
    """A leader, which is our child and unreaped until `reap`, and all its descendants."""

    def __init__(self, leader: int, mark: str, started: int, pipe: str = "", folder: str = "") -> None:
        self.leader = leader
        self.mark = mark
        self.started = started  # ticks, taken before the leader was started
        self.pipe = pipe  # what /proc/<pid>/fd/1 of its processes links to
        self.folder = folder  # the worktree, which it shares with no other stage
        self.sessions = {leader}
        self.known: set[tuple[int, int]] = set()
        self.orphan_cpu_s = 0.0
        self.is_ending = False
        self.notes: list[str] = []
        _families[leader] = self

    def members(self) -> list[Stat]:
        """Look for the living processes besides the leader; orphans that have ended are reaped."""
        return self._walk([self.leader, *self._adopted()])

    def _walk(self, roots: list[int]) -> list[Stat]:
        seen: set[int] = set()
        found: list[Stat] = []
        while roots:
            pid = roots.pop()
            if pid in seen:
                continue
            seen.add(pid)
            if pid != self.leader:
                stat = procfs.read_stat(pid)
                if stat is None or stat.state in "ZX":
                    continue
                found.append(stat)
                self.learn(stat)
            roots.extend(procfs.children_of(pid))
        return found

    def has_orphans(self) -> bool:
        """Whether the leader, having ended, left anything: one cheap look at our own children."""
        return bool(self._adopted())

    def _adopted(self, *, is_deadly: bool = False) -> list[int]:
        """Orphans of this family among our own children; `is_deadly` kills each as it is seen."""
        with LOCK:
            mine: list[int] = []
            seen: set[int] = set()
            for _ in range(_LOOKS):
                # One that has ended meanwhile may have left a child that was not yet on the list.
                own = (pid for pid in _own_children() if pid not in seen and pid not in _families)
                fresh = [pid for pid in own if not _is_detached(pid)]
                if not fresh:
                    _forget_strangers(seen)
                    return mine
                seen.update(fresh)
                for pid in fresh:
                    if self._is_living_orphan(pid):
                        mine.append(pid)
                        if is_deadly:
                            # Our child, and nobody reaps while we hold the lock; a setuid program may refuse.
                            with contextlib.suppress(PermissionError):
                                os.kill(pid, signal.SIGKILL)
            # A process that forks and ends all the time: its last child is somewhere.
            return mine or [self.leader]

    def _is_living_orphan(self, pid: int) -> bool:
        if time.monotonic() - _strangers.get(pid, -_STRANGER_S) < _STRANGER_S:
            return False
        stat = procfs.read_stat(pid)
        if stat is None or stat.session == _own_session():
            return False
        owner = _owner(stat, self)
        if stat.state == "Z":
            _reap_orphan(stat, owner)
        return stat.state != "Z" and owner is self

    def learn(self, stat: Stat) -> None:
        """Remember a process that is known to belong here, however it may look later."""
        self.known.add((stat.pid, stat.started))
        self.sessions.add(stat.session)

    def knows(self, stat: Stat) -> bool:
        """Whether `learn` was told of this process."""
        return (stat.pid, stat.started) in self.known

    def signal_group(self, number: int) -> None:
        """Signal the leader's process group; exact, for an unreaped leader keeps its number taken."""
        signal_group(self.leader, number)

    def kill(
        self, *, is_leader_alive: bool, seen: set[tuple[int, int]] | None = None, patience_s: float = 5.0
    ) -> tuple[int, int]:
        """SIGKILL every member, again until a look finds none; return how many it met and how many survive.

        Pids with their start ticks are added to `seen`.
        """
        counted = set() if seen is None else seen
        give_up = time.monotonic() + patience_s
        for look in count():
            # The look comes first: without a subreaper nothing leads to children of the dead. Those that
            # are still there after a few looks have to be faster than the time from one look to the next.
            is_deadly = look >= _GENTLE_LOOKS
            members = self._walk([self.leader, *self._adopted(is_deadly=is_deadly)])
            if is_leader_alive:
                self.signal_group(signal.SIGKILL)
            if not members and not self.has_orphans():
                break
            counted.update((stat.pid, stat.started) for stat in members)
            if time.monotonic() > give_up:
                return len(counted), max(1, len(members))
            kill_processes(members, number=signal.SIGKILL)
            time.sleep(0 if is_deadly and look % 8 else min(0.0005 * 2**look, 0.01))
        return len(counted), 0

    def reap(self) -> tuple[int, resource.struct_rusage | None]:
        """Collect the leader, which has ended: its wait status and usage. Status -1 when it was lost."""
        with LOCK:
            _families.pop(self.leader, None)
            try:
                # Not to wait for a process that even SIGKILL does not end.
                pid, status, usage = os.wait4(self.leader, os.WNOHANG)
            except ChildProcessError:
                return -1, None
            return (status, usage) if pid else (-1, None)


def _owner(stat: Stat, asking: Family) -> Family | None:
    proven = _proven_owner(stat)
    if proven is not None:
        proven.learn(stat)
        return proven
    # Without proof it is ours only if no other stage that could have started it goes on.
    candidates = [family for family in _families.values() if family.started <= stat.started]
    suspects = _suspects.setdefault((stat.pid, stat.started), set())
    suspects.update(family.mark for family in candidates)
    if asking not in candidates or any(not other.is_ending for other in candidates if other is not asking):
        return None
    if stat.state != "Z":
        asking.notes.append(f"process {stat.pid} hid its origin; it came from {' or '.join(sorted(suspects))}")
        asking.learn(stat)
    _suspects.pop((stat.pid, stat.started), None)
    return asking


def _proven_owner(stat: Stat) -> Family | None:
    """The family of an orphan, by the strongest evidence first."""
    if stat.session in _families:
        return _families[stat.session]
    for family in _families.values():
        if family.knows(stat):
            return family
    if stat.state != "Z":
        mark = procfs.read_mark(stat.pid)
        pipes = (procfs.link_of(stat.pid, "fd/1"), procfs.link_of(stat.pid, "fd/2"))
        for family in _families.values():
            if (mark and family.mark == mark) or (family.pipe and family.pipe in pipes):
                return family
    for family in _families.values():
        if stat.session in family.sessions:
            return family
    return _owner_by_folder(procfs.link_of(stat.pid, "cwd"))


def _owner_by_folder(folder: str) -> Family | None:
    """Nobody strays into the worktree of another stage by accident; services share theirs with a stage."""
    inside = [family for family in _families.values() if family.folder and f"{folder}/".startswith(family.folder + "/")]
    deepest = max((len(family.folder) for family in inside), default=0)
    owners = [family for family in inside if len(family.folder) == deepest]
    return owners[0] if len(owners) == 1 else None


def _reap_orphan(stat: Stat, owner: Family | None) -> None:
    if owner is None or not owner.knows(stat):
        # It may be the child of other code in this process, which still wants its status.
        if time.monotonic() - _strangers.setdefault(stat.pid, time.monotonic()) < _STRANGER_S:
            return
        _strangers.pop(stat.pid, None)
    try:
        pid, _, usage = os.wait4(stat.pid, os.WNOHANG)
    except ChildProcessError:
        return
    if pid and owner is not None:
        owner.orphan_cpu_s += usage.ru_utime + usage.ru_stime


def _forget_strangers(children: set[int]) -> None:
    for pid in [pid for pid in _strangers if pid not in children]:
        del _strangers[pid]
    for name in [name for name in _suspects if name[0] not in children]:
        del _suspects[name]


def _own_children() -> list[int]:
    pid = os.getpid()
    while True:
        # An orphan moves to another thread's list when the thread that adopted it ends.
        before = procfs.threads_of(pid)
        found = procfs.children_of(pid)
        if procfs.threads_of(pid) == before:
            return found


def let_alone(pid: int) -> None:
    """Take note of a child that is to outlive us: it is nobody's orphan. The caller holds LOCK since its start."""
    stat = procfs.read_stat(pid)
    if stat is not None:
        _detached[pid] = stat.started


def _is_detached(pid: int) -> bool:
    if pid not in _detached:
        return False
    stat = procfs.read_stat(pid)
    if stat is not None and stat.started == _detached[pid]:
        return True
    del _detached[pid]  # it has ended, and its number was given to another
    return False


def _own_session() -> int:
    return os.getsid(0)


def signal_group(group: int, number: int) -> None:
    """Signal a process group; nothing happens when it is empty or not ours."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def kill_processes(stats: Iterable[Stat], *, number: int) -> None:
    """Signal processes with their whole groups: a group dies at once, even one that forks all the time."""
    own = _own_session()
    groups: set[int] = set()
    for stat in stats:
        try:
            pidfd = os.pidfd_open(stat.pid)
        except OSError:
            continue
        try:
            # The number may have passed to another process since the look; the descriptor cannot.
            now = procfs.read_stat(stat.pid)
            if now is None or now.started != stat.started:
                continue
            if now.session != own and now.group not in groups:
                groups.add(now.group)
                signal_group(now.group, number)
            signal.pidfd_send_signal(pidfd, number)
        except OSError:
            continue
        finally:
            os.close(pidfd)
