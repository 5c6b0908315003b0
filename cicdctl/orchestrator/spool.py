"""What the push hook has left: read in the order in which it came, taken in once, then removed."""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from pathlib import Path

from cicdctl.errors import CicdError, StoreError
from cicdctl.model import Run, Value
from cicdctl.orchestrator.change import Change, Wishes, object_id, read_wishes
from cicdctl.orchestrator.deciding import current_value
from cicdctl.orchestrator.intake import take_in
from cicdctl.project import Project
from cicdctl.store import lock_patiently

SOURCE = "hook"
# The hook of the push that moved a ref further has written its own line by then.
GRACE_S = 2.0
_MOST_BYTES = 64 << 20
_LINE = re.compile(r"ref ([0-9a-f]{40,64}) ([0-9a-f]{40,64}) (refs/\S+)")
_log = logging.getLogger("cicdctl.hook")


class Push(Value, frozen=True, kw_only=True):
    """One file of the spool: the refs that a push moved, at `at` (Unix seconds)."""

    path: Path
    at: float
    changes: tuple[Change, ...]


def spool_folder(project: Project) -> Path:
    """Return the folder into which the hook writes."""
    return project.state_folder / "spool"


def import_spool(project: Project) -> tuple[list[Run], bool]:
    """Take in what lies in the spool; return the runs, and whether something is left that has to wait a moment.

    One process at a time; the others wait. What cannot be read is set aside, and told. Raises StoreError.
    """
    folder = spool_folder(project)
    if not waiting_pushes(project):
        return [], False
    recorded: list[Run] = []
    is_left = False
    with lock_patiently(project.state_folder / "locks" / "spool"):
        pushes = _read_all(folder, waiting_pushes(project))
        for at, push in enumerate(pushes):
            try:
                changes = _settled(project, push, pushes[at + 1 :])
                if changes is None:
                    is_left = True
                    continue
                recorded += take_in(project, changes, delivery=(SOURCE, push.path.name)).runs
            except CicdError as error:
                # Acknowledged: it stays here until it can be recorded.
                _log.error("push %s is not queued yet: %s", push.path.name, error.message)
                is_left = True
                continue
            push.path.unlink(missing_ok=True)
    return recorded, is_left


def waiting_pushes(project: Project) -> list[str]:
    """Return the names of the pushes that are not taken in yet. Raises StoreError."""
    folder = spool_folder(project)
    try:
        return [path.name for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f'cannot read "{folder}": {error.strerror}', hint="check owner and mode") from error


def _read_all(folder: Path, names: list[str]) -> list[Push]:
    pushes = []
    for name in names:
        path = folder / name
        try:
            pushes.append(_read(path))
        except (OSError, ValueError) as error:
            _log.error('"%s" is no push and set aside: %s', path, error)
            aside = folder / "refused"
            aside.mkdir(mode=0o700, exist_ok=True)
            path.replace(aside / name)
    return sorted(pushes, key=lambda push: (push.at, push.path.name))


def _read(path: Path) -> Push:
    # Opened as what it is: a link or a pipe that somebody put there is not read.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("it is no regular file")
        if facts.st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        text = file.read().decode("utf-8", "surrogateescape")
    options: list[str] = []
    found: list[tuple[str, str, str]] = []
    for line in text.split("\n"):
        if line.startswith("option "):
            options.append(line.removeprefix("option "))
        elif line:
            match = _LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"{line[:80]!r} is no line of a push")
            found.append((match[1], match[2], match[3]))
    wishes = read_wishes(options)
    for option in wishes.unknown:
        _log.warning("unknown push option %r", option[:80])
    changes = tuple(Change(ref=ref, old=object_id(old), new=object_id(new), wishes=wishes) for old, new, ref in found)
    return Push(path=path, at=facts.st_mtime, changes=changes)


def _settled(project: Project, push: Push, later: list[Push]) -> tuple[Change, ...] | None:
    """Return what to take in of a push; None while a ref has moved on and the hook that did it has yet to write.

    Where nobody writes, the ref was moved by other means, and what it is now is taken in as well.
    """
    tips: list[Change] = []
    for change in push.changes:
        now = current_value(project, change)
        if change.new is None or now in (change.new, None) or _is_known(change.ref, now, later):
            continue
        if abs(time.time() - push.at) < GRACE_S:
            return None
        tips.append(Change(ref=change.ref, old=None, new=None, wishes=Wishes()))
    return (*push.changes, *tips)


def _is_known(ref: str, value: str | None, pushes: list[Push]) -> bool:
    return any(change.ref == ref and change.new == value for push in pushes for change in push.changes)
