"""What streams say: events of runs, the log of a stage as it grows, or both in one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack

import msgspec

from cicdctl.errors import CicdError
from cicdctl.model import Event
from cicdctl.project import Project
from cicdctl.runner.stage_logs import StageLog, find_stage_log
from cicdctl.server.answers import Refusal
from cicdctl.server.live.feed import Feed
from cicdctl.server.live.stream import HEARTBEAT, woken
from cicdctl.server.live.tail import Piece, Tail

# After these a stage may have another log, or its log may grow no more.
_OF_LOGS = frozenset({"attempt_started", "attempt_finished", "stage_started", "stage_finished"})
_ENDS_LOG = frozenset({"attempt_finished", "stage_finished"})


async def tell_events(feed: Feed, run: int | None, position: int) -> AsyncGenerator[bytes]:
    """Yield the events after a position as they come; a comment every 15 s without any."""
    waker = asyncio.Event()
    with feed.listening(waker, run):
        yield b"retry: 1000\n\n"
        while not feed.has_ended:
            before = position
            taken = await feed.take(run, position)
            position = taken.position
            if taken.events:
                yield b"".join(b"id: %d\n%b" % (told.event.id, told.lines) for told in taken.events)
            elif position == before and not await woken(waker):
                yield HEARTBEAT


# Finds the log of an attempt of one stage, or of the newest.
Find = Callable[[int | None], StageLog]


class FollowedLog:
    """The log of one attempt of a stage, from a byte on. Use it with `with`, beside `Feed.listening`."""

    def __init__(self, feed: Feed, find: Find, waker: asyncio.Event, log: StageLog, offset: int) -> None:
        self._feed = feed
        self._find = find
        self._waker = waker
        self._stack = ExitStack()
        self._tail: Tail | None = None
        self.log = log
        self.offset = offset
        self._follow()

    def __enter__(self) -> FollowedLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def look_again(self, attempt: int | None = None) -> None:
        """Go over to another attempt, from its start; without one, find out whether this one has ended."""
        wanted = attempt or self.log.attempt or None
        try:
            log = await self._feed.in_thread(lambda: self._find(wanted))
        except (CicdError, Refusal):
            return  # it was there before: what is followed stays
        if log.attempt != self.log.attempt:
            self.offset = 0
        before, self.log = self.log, log
        if log.path != before.path:
            self._follow()

    async def pieces(self, *, is_last: bool = False) -> AsyncGenerator[Piece]:
        """Yield what has come. `is_last`: nothing more will, and every byte counts."""
        while self._tail is not None:
            piece = await self._tail.read(self.offset, has_ended=is_last or self.log.is_complete)
            if piece is None:
                return
            self.offset = piece.end
            yield piece

    def lines(self, piece: Piece) -> bytes:
        """Return a piece as a stream tells it, but for its id."""
        place = {"stage": self.log.stage, "attempt": self.log.attempt, "offset": piece.start, "end": piece.end}
        return b'event: log\ndata: %b,"text":%b}\n\n' % (msgspec.json.encode(place)[:-1], piece.text)

    def _follow(self) -> None:
        self._stack.close()
        self._tail = None
        if self.log.path is not None:
            self._tail = self._stack.enter_context(self._feed.following(self._waker, self.log.path))


async def tell_events_and_log(
    feed: Feed, find: Find, run: int, position: int, log: StageLog, offset: int, *, found_at: int
) -> AsyncGenerator[bytes]:
    """Yield the events of a run and the newest log of one of its stages; ids are `<event id>-<offset>`.

    What an attempt has written comes after the event of its start and before that of its end: an id names both.
    `found_at` is the newest event when `log` had been found.
    """
    waker = asyncio.Event()
    with feed.listening(waker, run), FollowedLog(feed, find, waker, log, offset) as followed:
        yield b"retry: 1000\n\n"
        while not feed.has_ended:
            before = position
            taken = await feed.take(run, position)
            is_news = bool(taken.events)
            for told in taken.events:
                event = told.event
                is_ours = event.stage == log.stage and event.kind in _OF_LOGS
                if is_ours and _ends(event, followed.log):
                    async for piece in followed.pieces(is_last=True):
                        yield b"id: %d-%d\n%b" % (position, piece.end, followed.lines(piece))
                position = event.id
                if is_ours:
                    await followed.look_again(_begun(event))
                yield b"id: %d-%d\n%b" % (position, followed.offset, told.lines)
            position = taken.position
            async for piece in followed.pieces() if position >= found_at else _nothing():
                is_news = True
                yield b"id: %d-%d\n%b" % (position, piece.end, followed.lines(piece))
            if not is_news and position == before and not await woken(waker):
                yield HEARTBEAT


def _ends(event: Event, log: StageLog) -> bool:
    """Whether an event is the end of what is followed, and not of an attempt before it."""
    return event.kind in _ENDS_LOG and event.detail.get("number", log.attempt) == log.attempt


def _begun(event: Event) -> int | None:
    """Return the attempt that an event says has begun."""
    number = event.detail.get("number") if event.kind == "attempt_started" else None
    return number if isinstance(number, int) else None


async def _nothing() -> AsyncGenerator[Piece]:
    return
    yield


async def tell_log(feed: Feed, find: Find, run: int, log: StageLog, offset: int) -> AsyncGenerator[bytes]:
    """Yield one attempt of a stage's log from a byte on, to its end; ids are the bytes up to which it was told."""
    waker = asyncio.Event()
    position = await feed.newest()
    with feed.listening(waker, run), FollowedLog(feed, find, waker, log, offset) as followed:
        yield b"retry: 1000\n\n"
        # It may have ended between the look that found it and the first event that is seen.
        await followed.look_again()
        while not feed.has_ended:
            attempt, has_ended = followed.log.attempt, followed.log.is_complete
            async for piece in followed.pieces():
                yield b"id: %d\n%b" % (piece.end, followed.lines(piece))
            if has_ended:
                yield b"event: end\ndata: %b\n\n" % msgspec.json.encode({"attempt": attempt, "size": followed.offset})
                return
            taken = await feed.take(run, position)
            before, position = position, taken.position
            if any(told.event.stage == log.stage or told.event.kind == "run_finished" for told in taken.events):
                await followed.look_again()
            elif position == before and not await woken(waker):
                yield HEARTBEAT


def last_seen(text: str | None) -> tuple[int, int | None] | None:
    """Read a `Last-Event-ID`: an event, or an event and a byte; None when there is none. Raises Refusal."""
    if text is None or text == "":
        return None
    found = re.fullmatch(r"(\d{1,15})(?:-(\d{1,15}))?", text, flags=re.ASCII)
    if found is None:
        raise Refusal(400, "query", "Last-Event-ID is none of ours")
    return int(found[1]), None if found[2] is None else int(found[2])


def offset_after(project: Project, run: int, stage: str, position: int, offset: int) -> int:
    """Return where to go on in the newest log of a stage: at its start, if its attempt began after an event."""
    events = project.state.events(run=run, after=position, limit=1000)
    is_newer = any(event.kind == "attempt_started" and event.stage == stage for event in events)
    return 0 if is_newer else offset


def finder(project: Callable[[], Project], run: int, stage: str) -> Find:
    """Return what finds a stage's log at any later moment."""

    def find(attempt: int | None) -> StageLog:
        opened = project()
        summary = opened.state.load(run)
        if summary is None:
            raise Refusal(404, "no_such_run", f"there is no run #{run}")
        return find_stage_log(opened, summary, stage, attempt)

    return find
