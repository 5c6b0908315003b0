"""Reads and transactions on one repository's keys: each is all or nothing, and sees one moment."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from cicdctl.plugin_api import Places, StoreError
from cicdctl_redis.faults import Unreachable, explained
from cicdctl_redis.marker import agree, amnesia
from cicdctl_redis.plugin import RedisOptions
from cicdctl_redis.server import check, connect, name_of
from cicdctl_redis.stamp import Stamp

T = TypeVar("T")
Words = Sequence[str]

_PATIENCE_S = 30.0
# A server that was away is not asked again by those who cannot wait for this long.
_REST_S = 1.0
# So often is read again what somebody wrote while it was read.
_READS = 10
# Long enough for the answer to a commit to be asked for again.
_COMMIT_KEPT_S = 300

# A transaction is a list of commands that counts only when nobody has written since it was read for. It may be sent
# twice: a commit whose answer was lost is recognised by its own key. A script writes all or, out of memory, nothing.
_COMMIT = f"""
if redis.call('EXISTS', KEYS[3]) == 1 then return 'ok' end
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 'amnesia' end
if (redis.call('GET', KEYS[1]) or '0') ~= ARGV[1] then return 'raced' end
redis.call('SET', KEYS[3], '1', 'EX', {_COMMIT_KEPT_S})
redis.call('INCR', KEYS[1])
local at = 3
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  local words = {{}}
  for i = 1, count do words[i] = ARGV[at + i] end
  redis.call(unpack(words))
  at = at + count + 1
end
return 'ok'
"""


class Transaction:
    """What one attempt has read and is to write. Hashes are read whole, and show what was set before."""

    def __init__(self, ledger: Ledger, version: str, hashes: dict[str, dict[str, str]]) -> None:
        self.ledger = ledger
        self.version = version
        self.commands: list[Words] = []
        self.new_run = 0
        self._hashes = hashes
        self._texts: dict[str, str | None] = {}

    def hash(self, *name: object) -> dict[str, str]:
        """Give all fields of a hash; not to be changed but by `set` and `unset`."""
        key = self.ledger.key(*name)
        if key not in self._hashes:
            self._hashes[key] = self.ledger.send(("HGETALL", key))[0]
        return self._hashes[key]

    def set(self, name: Sequence[object], field: object, value: object) -> None:
        """Set a field of a hash."""
        self.hash(*name)[str(field)] = str(value)
        self.write("HSET", self.ledger.key(*name), field, value)

    def unset(self, name: Sequence[object], field: object) -> bool:
        """Remove a field of a hash; False when it was not there."""
        if self.hash(*name).pop(str(field), None) is None:
            return False
        self.write("HDEL", self.ledger.key(*name), field)
        return True

    def text(self, *name: object) -> str | None:
        """Give a plain value."""
        key = self.ledger.key(*name)
        if key not in self._texts:
            self._texts[key] = self.ledger.send(("GET", key))[0]
        return self._texts[key]

    def put(self, name: Sequence[object], value: str, *, kept_s: int | None = None) -> None:
        """Set a plain value."""
        key = self.ledger.key(*name)
        self._texts[key] = value
        self.write("SET", key, value, *(() if kept_s is None else ("EX", kept_s)))

    def ask(self, command: str, name: Sequence[object], *rest: object) -> Any:
        """Read something else, as it was before this transaction."""
        return self.ledger.send((command, self.ledger.key(*name), *map(str, rest)))[0]

    def write(self, *words: object) -> None:
        """Add a command; the first word after its name is a whole key."""
        self.commands.append(tuple(map(str, words)))

    def count(self, name: str) -> int:
        """Give the next number of a counter: each is given once."""
        number = int(self.hash("counters").get(name, 0)) + 1
        if name == "run":
            # A server that lost its last second would give the numbers of those runs again.
            number = self.new_run = max(number, self.ledger.stamp.highest_run() + 1, self.new_run + 1)
        self.set(("counters",), name, number)
        return number


class Ledger:
    """The keys of one repository on one server. Safe from any thread; nothing is sent before the first question."""

    def __init__(self, options: RedisOptions, places: Places) -> None:
        self.server = name_of(options)
        self.settle: Callable[[], object] = lambda: None
        self.stamp = Stamp(places.state)
        self._folder: Path = places.state
        self._options = options
        # The id of the repository, as cicdctl tells it everywhere.
        repository = hashlib.sha256(os.fsencode(os.path.realpath(places.git_dir))).hexdigest()[:16]
        self._prefix = f"cicdctl:{{{repository}}}:"
        self._client = connect(options)
        self._script = self._client.register_script(_COMMIT)
        self._mark: str | None = None
        self._mutex = threading.Lock()
        self._rests_until = 0.0

    def key(self, *name: object) -> str:
        """Give the whole name of a key; all have the same hash tag."""
        return self._prefix + ":".join(map(str, name))

    @property
    def rests(self) -> bool:
        """Whether the server was away a moment ago: who must not wait does not ask."""
        return time.monotonic() < self._rests_until

    def ask(self, *commands: Words) -> list[Any]:
        """Read by several commands, of one moment, after what waited to be written. Raises StoreError."""
        self.settle()
        return self.send(*commands)

    def change(self, body: Callable[[Transaction], T], *, hashes: Iterable[Sequence[object]] = ()) -> T:
        """Do as `change_now`, after what waited to be written."""
        self.settle()
        return self.change_now(body, hashes=hashes)

    def send(self, *commands: Words) -> list[Any]:
        """Read, and see that the history is still the one that was there."""
        mark, key = self._agreed(), self.key("version")
        for tries in range(_READS):
            # A full server refuses even to read inside MULTI; that the version stayed says as much.
            with self._watched():
                pipe = self._client.pipeline(transaction=tries == _READS - 1)
                for words in (("GET", self.key("mark")), ("GET", key), *commands, ("GET", key)):
                    pipe.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py leaves it bare
                found, before, *answers, after = pipe.execute()
            self._recognise(found, mark)
            if before == after:
                break
        return answers

    def change_now(self, body: Callable[[Transaction], T], *, hashes: Iterable[Sequence[object]] = ()) -> T:
        """Run `body` and commit what it writes, again and again until nobody has written in between.

        `hashes` are read at once, before. Raises what `body` raises, and StoreError.
        """
        keys = list(dict.fromkeys([self.key("counters"), *(self.key(*name) for name in hashes)]))
        deadline = time.monotonic() + _PATIENCE_S
        tries = 0
        with self._mutex:
            while True:
                version, *found = self.send(("GET", self.key("version")), *(("HGETALL", key) for key in keys))
                change = Transaction(self, version or "0", dict(zip(keys, found, strict=True)))
                try:
                    answer = body(change)
                except Unreachable:
                    raise
                except Exception:
                    # What it saw may have been of two moments; then it says nothing.
                    if self.send(("GET", self.key("version")))[0] == version:
                        raise
                else:
                    if self._commit(change):
                        return answer
                if time.monotonic() > deadline:
                    raise StoreError(f"{self.server} is written by too many others", hint="try again")
                tries += 1
                time.sleep(random.uniform(0, min(0.05, 0.001 * 2 ** min(tries, 10))))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _commit(self, change: Transaction) -> bool:
        if not change.commands:
            return bool((self.send(("GET", self.key("version")))[0] or "0") == change.version)
        mark = self._agreed()
        words: list[str] = [change.version, mark]
        for command in change.commands:
            words += [str(len(command)), *command]
        keys = [self.key("version"), self.key("mark"), self.key("commit", uuid.uuid4().hex)]
        with self._watched():
            outcome = self._script(keys=keys, args=words)
        if outcome == "amnesia":
            self._recognise(None, mark)
        if outcome == "ok":
            self._stamp(change.new_run)
        return bool(outcome == "ok")

    def _agreed(self) -> str:
        if self._mark is None:
            with self._watched():
                if self._options.start_check:
                    check(self._client, self.server)
                key, counters = self.key("mark"), self.key("counters")
                self._mark = agree(self._client, key, counters, self._folder, self.server)
        return self._mark

    def _recognise(self, found: str | None, mark: str) -> None:
        if found != mark:
            self._mark = None
            raise amnesia(self.server, self._folder)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            with explained(self.server):
                yield
        except Unreachable:
            self._rests_until = time.monotonic() + _REST_S
            raise

    def _stamp(self, new_run: int) -> None:
        try:
            if new_run:
                self.stamp.raise_to(new_run)
            else:
                self.stamp.touch()
        except OSError:
            return  # it is written, and whoever watches looks now and then anyway
