"""The mark that a server is the one which holds this repository's history: kept there and here."""

from __future__ import annotations

import json
import os
import socket
import uuid
from pathlib import Path
from typing import Any

from redis import Redis

from cicdctl.plugin_api import StoreError
from cicdctl_redis.faults import Amnesia

FILE = "redis.json"
# Whoever sees the mark sees the number that runs go on after.
_BEGIN = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX') then redis.call('HSET', KEYS[2], 'run', ARGV[2]) end
"""


def agree(client: Redis, key: str, counters: str, folder: Path, server: str) -> str:
    """Give the mark that both sides hold; made when neither has one. Numbers of runs go on after those with logs.

    Raises Amnesia when the server has lost it, StoreError when it holds the history of another folder; what
    redis-py raises goes through.
    """
    path = folder / FILE
    ours = _read(path)
    if ours is None:
        theirs: Any = client.get(key)
        # Whoever begins at the same time writes the file first.
        if theirs is not None and _read(path) is None:
            found = _facts(str(theirs))
            raise StoreError(
                f"{server} holds the history of another folder: {found.get('folder')} on {found.get('host')}",
                hint=f"one Redis database serves one such folder: use another db; if it is the same, write "
                f"'{theirs}' to '{path}'",
            )
        facts = {"id": uuid.uuid4().hex, "host": socket.gethostname(), "folder": str(folder)}
        _write(path, {**facts, "confirmed": False}, is_new=True)
        ours = _read(path)
        assert ours is not None
    mark = json.dumps({name: ours.get(name) for name in ("id", "host", "folder")})
    if not ours.get("confirmed"):
        client.eval(_BEGIN, 2, key, counters, mark, str(_highest_logged(folder)))
    theirs = client.get(key)
    if theirs is None or _facts(str(theirs)).get("id") != ours["id"]:
        raise amnesia(server, folder)
    if not ours.get("confirmed"):
        _write(path, {**ours, "confirmed": True}, is_new=False)
    return str(theirs)


def amnesia(server: str, folder: Path) -> Amnesia:
    """Say that the server has lost the history."""
    return Amnesia(
        f"{server} no longer holds the history of this repository: it was emptied, or is another server",
        hint=f"bring its data back (appendonlydir, dump.rdb) and start it again; to begin a new history instead, "
        f"delete '{folder / FILE}'",
    )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"'{path}' cannot be read: {error.strerror}") from error
    facts = _facts(text)
    if "id" not in facts:
        raise StoreError(f"'{path}' is damaged", hint="it names the history in Redis; see `redis-cli get` of its mark")
    # A mark that a person wrote down is as good as one of ours.
    return {"confirmed": True, **facts}


def _facts(text: str) -> dict[str, Any]:
    try:
        facts = json.loads(text)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _write(path: Path, facts: dict[str, Any], *, is_new: bool) -> None:
    aside = path.with_name(f"{FILE}.{uuid.uuid4().hex}")
    try:
        descriptor = os.open(aside, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(facts, file)
            file.flush()
            os.fsync(descriptor)
        if not is_new:
            aside.replace(path)
            return
        try:
            os.link(aside, path)  # the first of two processes wins, and both read the same
        except FileExistsError:
            pass
        finally:
            aside.unlink()
    except OSError as error:
        raise StoreError(f"'{path}' cannot be written: {error.strerror}") from error


def _highest_logged(folder: Path) -> int:
    try:
        names = [path.name for path in (folder / "logs").iterdir()]
        return max((int(name) for name in names if name.isdecimal()), default=0)
    except FileNotFoundError:
        return 0
