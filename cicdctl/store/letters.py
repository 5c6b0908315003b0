"""What is to be told: news written with what happened, and the letters to notifiers they become."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from cicdctl.kinds import Notice
from cicdctl.model import Run, RunState, TriggerKind, Value, Verdict
from cicdctl.model.history import is_partial
from cicdctl.model.verdict import TRIALS
from cicdctl.store.documents import decode, encode

STARTED, ENDED = "started", "ended"
MOST_FAILED = 500
# How many earlier runs are looked at for the one that is comparable, and which of them say anything.
LOOK_BACK_RUNS = 1000
TELLING_VERDICTS = (Verdict.PASSED, Verdict.FAILED, Verdict.TIMED_OUT, Verdict.ERROR)
# After the clock was set back a letter must not wait for a day.
LONGEST_WAIT_S = 3600.0


class News(Value, frozen=True, kw_only=True):
    """Something that happened to a run: it `started`, it `ended`, or an event with a `text` of its own.

    `previous` is how the newest earlier run ended that passed or failed, of the same pipeline, ref and params.
    """

    id: int
    run: int
    at: float
    event: str
    previous: Verdict | None = None
    text: str = ""


class Letter(Value, frozen=True, kw_only=True):
    """A notice for one notifier. It waits until `due_at` (Unix seconds), or was given up at `failed_at`.

    Of the letters to a notifier with the same `topic` only the newest is kept; the empty topic keeps all.
    """

    id: int = 0
    notifier: str
    topic: str = ""
    run: int = 0
    tries: int = 0
    due_at: float = 0.0
    failed_at: float | None = None
    error: str | None = None
    notice: Notice


class OutboxStore(Protocol):
    """The letters of one state. Safe from any thread and process; what a call wrote survives a power loss.

    Every method raises StoreError when the store cannot be read or written.
    """

    def news(self, limit: int = 100) -> list[News]:
        """Give what nobody has made letters of yet, oldest first."""

    def spread(self, news: News, letters: Iterable[Letter]) -> None:
        """Put letters in the place of news, once: when somebody else was faster, nothing changes."""

    def add(self, letter: Letter) -> None:
        """Put one letter there that comes from no run."""

    def is_outdated(self, run: Run) -> bool:
        """Whether a newer run of the same pipeline on the same commit has started, whose state counts."""

    def due(self, now: float) -> list[Letter]:
        """Give the letters to send by now, oldest first."""

    def letters(self) -> list[Letter]:
        """Give all letters that wait or were given up, oldest first."""

    def next_due_at(self) -> float | None:
        """When the next letter is due, in Unix seconds; 0.0 while there is news; None when nothing waits."""

    def remove(self, letter: Letter) -> None:
        """Forget a letter, for example because it arrived."""

    def postpone(self, letter: Letter, error: str, due_at: float | None) -> None:
        """Count a failed try; the next is due at `due_at`, None: there is none."""

    def try_again(self) -> int:
        """Make every letter due now, those given up too, with all their tries; say how many."""


class _Earlier(msgspec.Struct):
    """What makes a run comparable to another."""

    ref: str | None = None
    snapshot: bool = False
    params: dict[str, str] = {}
    options: dict[str, Any] = {}
    trigger: TriggerKind = TriggerKind.MANUAL


def news_of_transition(before: RunState | None, run: Run) -> list[tuple[str, str]]:
    """Give events and texts to tell of a run that starts or ends.

    There is nothing to tell of one that says nothing of its ref: a part, or a trial.
    """
    if run.state is before or run.is_partial or run.trigger in TRIALS:
        return []
    if run.state is RunState.DONE:
        told = [(ENDED, "")]
        if run.trigger is TriggerKind.ROLLBACK and run.verdict is not Verdict.PASSED:
            # Nothing rolls it back again: now somebody has to look.
            where = f'"{run.deploy.environment}"' if run.deploy is not None else "an environment"
            told.append(("escalated", f"the rollback of {where} has not passed"))
        return told
    if before in (RunState.QUEUED, RunState.BLOCKED) and run.state is not RunState.BLOCKED:
        return [(STARTED, "")]
    return []


def previous_verdict(run: Run, earlier: Iterable[tuple[str, str]]) -> str | None:
    """Give how the newest comparable run ended; cancelled and skipped ones say nothing.

    `earlier` are verdicts and documents of runs of the same pipeline with one of TELLING_VERDICTS, newest first.
    """
    wanted = decode(encode(run), _Earlier, what="this run")
    for verdict, document in earlier:
        found = decode(document, _Earlier, what="an earlier run")
        if is_partial(found.options) or found.trigger in TRIALS:
            continue
        if _place(found) == _place(wanted):
            return verdict
    return None


def _place(run: _Earlier) -> tuple[str | None, bool, dict[str, str]]:
    return run.ref, run.snapshot, run.params


def is_due(letter: Letter, now: float) -> bool:
    """Whether a letter is to be sent by now."""
    return letter.failed_at is None and (letter.due_at <= now or letter.due_at > now + LONGEST_WAIT_S)


def capped_due_at(due_at: float | None) -> float | None:
    """Give when something is due, 0.0 when that is further away than any wait."""
    return 0.0 if due_at is not None and due_at > time.time() + LONGEST_WAIT_S else due_at
