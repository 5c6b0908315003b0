"""One turn with the model: book the money, ask, settle, and try again what may be."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from cicdctl.fixers.claude.conditions import Ending, Trouble, backoff_s
from cicdctl.fixers.claude.endpoint import CHUNK_S
from cicdctl.fixers.claude.models import Price
from cicdctl.fixers.claude.options import ClaudeOptions
from cicdctl.fixers.claude.reply import Reading, Reply, make_reply
from cicdctl.model.fixing import FixRequest, FixStatus, FixUsage

if TYPE_CHECKING:
    import httpx2
    from anthropic import Anthropic

_STEP_S = 0.1


class NeedsFallback(Exception):
    """This model will not do: somebody else may be asked, from the beginning."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.reason)
        self.ending = ending


class TooLong(Exception):
    """The conversation does not fit."""


class Service:
    """One model behind an endpoint. `settled(usage)` is told of each call that may have cost something."""

    def __init__(
        self,
        client: Anthropic,
        options: ClaudeOptions,
        request: FixRequest,
        *,
        model: str,
        price: Price,
        endpoint: str,
        sleep: Callable[[float], None],
        settled: Callable[[FixUsage], None],
    ) -> None:
        self.model = model
        self._client = client
        self._options = options
        self._request = request
        self._price = price
        self._endpoint = endpoint
        self._sleep = sleep
        self._settled = settled

    def ask(self, body: dict[str, Any]) -> Reply:
        """Return a reply to `body`. Raises Ending, NeedsFallback and TooLong; then no money is booked any more."""
        number = 0
        while True:
            number += 1
            self.stop_when_over()
            trouble = self._try(body)
            if isinstance(trouble, Reply):
                return trouble
            self._act(trouble, number)

    def stop_when_over(self) -> None:
        """Raise Ending when nobody wants the answer any more."""
        if self._request.cancelled():
            raise Ending(FixStatus.NO_CHANGE, "cancelled")
        if time.monotonic() >= self._request.deadline:
            raise Ending(FixStatus.NO_CHANGE, "the time is up")

    def _timeout(self) -> httpx2.Timeout:
        """Return how long one part of a reply may take: never beyond the deadline, for nobody waits for us then."""
        import httpx2

        left_s = max(_STEP_S, self._request.deadline - time.monotonic())
        part_s = min(CHUNK_S, self._options.timeout_s or CHUNK_S, left_s)
        return httpx2.Timeout(part_s, connect=min(self._options.connect_timeout, left_s))

    def _try(self, body: dict[str, Any]) -> Reply | Trouble:
        chars = sum(len(json.dumps(body[name])) for name in ("system", "tools", "messages"))
        booked = self._price.most(chars, body["max_tokens"])
        if not self._request.reserve(booked):
            raise Ending(FixStatus.NO_CHANGE, f"the budget is used up: the next call may cost ${booked:.2f}")
        reading = Reading(chars, timeout=self._timeout(), check=self.stop_when_over)
        try:
            answer = reading.read(self._client, body)
        except BaseException:
            self._settle(booked, reading.usage(self._price, self.model, self._endpoint, has_turn=False))
            raise
        if isinstance(answer, Trouble):
            usage = FixUsage(model=self.model, endpoint=self._endpoint)
            if answer.billed:
                usage = reading.usage(self._price, self.model, self._endpoint, has_turn=False)
            self._settle(booked, usage)
            return answer
        usage = reading.usage(self._price, self.model, self._endpoint, has_turn=True)
        self._settle(booked, usage)
        return make_reply(answer, usage, reading.inputs)

    def _settle(self, booked: float, usage: FixUsage) -> None:
        self._request.settle(booked, usage)
        self._settled(usage)

    def _act(self, trouble: Trouble, number: int) -> None:
        """Wait before the next try, or end it all."""
        retry = self._options.retry
        ending = Ending(FixStatus.UNAVAILABLE, trouble.text)
        if trouble.answer == "budget":
            raise Ending(FixStatus.NO_CHANGE, f"budget: {trouble.text}")
        if trouble.answer == "too_long":
            raise TooLong(trouble.text)
        if trouble.answer == "no_model":
            raise NeedsFallback(ending)
        if trouble.answer == "fatal":
            raise ending
        if trouble.wait_s is not None and (
            trouble.wait_s > retry.max_retry_after or time.monotonic() + trouble.wait_s >= self._request.deadline
        ):
            self._until_later(trouble)
        if number >= retry.attempts:
            raise NeedsFallback(ending) if trouble.answer == "overloaded" else ending
        pause_s = trouble.wait_s
        if pause_s is None:
            pause_s = backoff_s(number, cap_s=retry.cap, jitter=random.random())
        self._request.report(f"{trouble.text}; again in {pause_s:.0f} s")
        self._wait(pause_s)

    def _until_later(self, trouble: Trouble) -> NoReturn:
        assert trouble.wait_s is not None
        at = time.time() + trouble.wait_s
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
        reason = f"{trouble.text}: not before {when} (in {trouble.wait_s:.0f} s)"
        raise Ending(FixStatus.UNAVAILABLE, reason, retry_at=at)

    def _wait(self, seconds: float) -> None:
        while seconds > 0:
            self.stop_when_over()
            step = min(_STEP_S, seconds)
            self._sleep(step)
            seconds -= step
