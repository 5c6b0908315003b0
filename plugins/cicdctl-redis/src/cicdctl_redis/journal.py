"""What a run's own process could not tell the server: kept here, in order, and told as soon as it answers again."""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from cicdctl.plugin_api import (
    AttemptEnded,
    AttemptStarted,
    Change,
    Noted,
    RunChanged,
    RunSummary,
    StageChanged,
    StoreError,
    documents,
    next_run,
)

FOLDER = "redis-journal"
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (RunChanged, StageChanged, AttemptStarted, AttemptEnded, Noted)
}


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Changes that are one transaction. `id` is random: who tells it twice is found out."""

    epoch: int
    changes: tuple[Change, ...]
    id: str = msgspec.field(default_factory=lambda: uuid.uuid4().hex)


class Journal:
    """A file per run with a batch on each line. One process at a time writes or tells, see `held`."""

    def __init__(self, state_folder: Path) -> None:
        self._folder = state_folder / FOLDER

    def runs(self) -> list[int]:
        """Give the runs of which something waits to be told. Cheap: asked before each question."""
        try:
            names = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []
        return sorted(int(name.removesuffix(".jsonl")) for name in names if name.removesuffix(".jsonl").isdecimal())

    def has(self, run: int) -> bool:
        """Whether something of this run waits to be told."""
        return self._path(run).exists()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other process of this host away from the journal."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def append(self, run: int, batch: Batch) -> None:
        """Write a batch down; it survives a power loss. Call it with the journal held. Raises StoreError."""
        row = {
            "id": batch.id,
            "epoch": batch.epoch,
            "changes": [[type(change).__name__, msgspec.to_builtins(change)] for change in batch.changes],
        }
        path = self._path(run)
        try:
            is_new = not path.exists()
            with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), "wb") as file:
                file.write(documents.encode(row).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                _sync_folder(self._folder)
        except OSError as error:
            raise StoreError(f"'{path}' cannot be written: {error.strerror}") from error

    def batches(self, run: int) -> list[Batch]:
        """Read what waits, oldest first; a last line that was cut off by a crash was never acknowledged.

        ValueError when it is damaged otherwise.
        """
        try:
            lines = self._path(run).read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        return [_read(line, run) for line in lines]

    def drop(self, run: int) -> None:
        """Forget what was told."""
        self._path(run).unlink(missing_ok=True)

    def set_aside(self, run: int) -> Path:
        """Keep what cannot be told for people to look at, and return where."""
        aside = self._folder / f"{run}.refused-{time.time_ns()}"
        self._path(run).replace(aside)
        return aside

    def _path(self, run: int) -> Path:
        return self._folder / f"{run}.jsonl"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(line: bytes, run: int) -> Batch:
    try:
        row = json.loads(line)
        changes = tuple(msgspec.convert(value, _KINDS[kind]) for kind, value in row["changes"])
        return Batch(id=row["id"], epoch=row["epoch"], changes=changes)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"the journal of run #{run} is damaged: {error}") from error


def advance(summary: RunSummary, changes: Sequence[Change]) -> RunSummary:
    """Give a run as it is after changes that only its own process knows. ValueError when one is impossible."""
    run, stages = summary.run, list(summary.stages)
    for change in changes:
        if isinstance(change, RunChanged):
            run = next_run(run, change)
        elif isinstance(change, StageChanged) and change.result is not None:
            stages = [stage for stage in stages if stage.stage != change.name] + [change.result]
    place = {name: index for index, name in enumerate(run.stage_names)}
    stages.sort(key=lambda stage: place.get(stage.stage, len(place)))
    return replace(summary, run=run, stages=tuple(stages))
