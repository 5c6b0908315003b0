"""One turn with the model: book the money, send, read the stream to its end, and try again what may be."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec.structs import replace

from cicdctl.fixers.claude.conditions import Ending, Trouble, backoff_s, lost_trouble, status_trouble
from cicdctl.fixers.claude.endpoint import CHUNK_S
from cicdctl.fixers.claude.models import CHARS_PER_TOKEN, Price
from cicdctl.fixers.claude.options import ClaudeOptions
from cicdctl.model import Value
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


class Call(Value, frozen=True, kw_only=True):
    """A tool that the model calls. `problem` says why its input cannot be what was meant."""

    id: str
    name: str
    input: Any
    problem: str | None = None


class Reply(Value, frozen=True, kw_only=True):
    """A whole reply. `content` is what is sent back to the model, exactly."""

    stop: str
    content: list[Any]
    calls: tuple[Call, ...]
    text: str
    usage: FixUsage
    refusal: str = ""

    @property
    def context_tokens(self) -> int:
        """How much of the context is in use."""
        return self.usage.input_tokens + self.usage.cache_read_tokens + self.usage.cache_write_tokens


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

    def timeout(self) -> httpx2.Timeout:
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
        reading = _Reading(self, chars)
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
        return _reply(answer, usage, reading.inputs)

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


class _Reading:
    """Reads one stream, and keeps count of what it has cost however it ends."""

    def __init__(self, service: Service, chars: int) -> None:
        self.inputs: dict[int, str] = {}
        self._service = service
        self._chars = chars
        self._begun = False
        self._seen: Any = None
        self._written = 0
        self._request_id: str | None = None

    def read(self, client: Anthropic, body: dict[str, Any]) -> Any:
        """Return the whole message, or what went wrong."""
        import anthropic
        import httpx2

        is_whole = False
        try:
            with client.messages.stream(**body, timeout=self._service.timeout()) as stream:
                self._request_id = stream.request_id
                for event in stream:
                    self._service.stop_when_over()
                    self._count(event)
                    is_whole = is_whole or event.type == "message_stop"
                # A stream may end without a word in the midst of it.
                if is_whole:
                    message = stream.get_final_message()
                    self._seen = message.usage
                    return message
        except anthropic.APIStatusError as error:
            return status_trouble(error)
        except (anthropic.AnthropicError, httpx2.HTTPError, httpx2.StreamError) as error:
            return lost_trouble(error, begun=self._begun)
        except (ValueError, TypeError, LookupError, AttributeError, RuntimeError, AssertionError) as error:
            # What the library raises on a stream that is none, or on the JSON of a tool that is none.
            return lost_trouble(error, begun=self._begun)
        return lost_trouble(EOFError(), begun=self._begun)

    def _count(self, event: Any) -> None:
        if event.type == "message_start":
            self._begun = True
            self._seen = event.message.usage
        elif event.type == "content_block_delta":
            delta = event.delta
            piece = getattr(delta, "text", None) or getattr(delta, "thinking", None) or ""
            if delta.type == "input_json_delta":
                piece = delta.partial_json
                self.inputs[event.index] = self.inputs.get(event.index, "") + piece
            self._written += len(piece)

    def usage(self, price: Price, model: str, endpoint: str, *, has_turn: bool) -> FixUsage:
        """Return what the call has used: what the service said, or an estimate where it could not say."""
        seen = self._seen
        output = int(getattr(seen, "output_tokens", 0) or 0)
        if not has_turn:
            output = max(output, int(self._written / CHARS_PER_TOKEN))
        # Nothing was said of it, and it may have been read all the same.
        guessed = int(self._chars / CHARS_PER_TOKEN) if seen is None and self._begun else 0
        plain = FixUsage(
            turns=1 if has_turn else 0,
            input_tokens=int(getattr(seen, "input_tokens", 0) or guessed),
            output_tokens=output,
            cache_read_tokens=int(getattr(seen, "cache_read_input_tokens", 0) or 0),
            cache_write_tokens=int(getattr(seen, "cache_creation_input_tokens", 0) or 0),
            model=model,
            endpoint=endpoint,
            request_ids=(self._request_id,) if self._request_id else (),
        )
        return replace(plain, cost_usd=price.cost(plain))


def _reply(message: Any, usage: FixUsage, inputs: dict[int, str]) -> Reply:
    calls = []
    for index, block in enumerate(message.content):
        # A kind that the library does not know comes as a text with a foreign type.
        if block.type != "tool_use":
            continue
        raw = inputs.get(index, "")
        problem = None
        if raw:
            try:
                json.loads(raw)
            except ValueError:
                problem = "the input was no whole JSON; nothing was done"
        calls.append(Call(id=block.id, name=block.name, input=block.input, problem=problem))
    details = getattr(message, "stop_details", None)
    return Reply(
        stop=str(message.stop_reason),
        content=[block.to_dict(mode="json") for block in message.content if not _is_blank(block)],
        calls=tuple(calls),
        text="\n".join(block.text for block in message.content if block.type == "text"),
        usage=usage,
        refusal=str(getattr(details, "category", None) or ""),
    )


def _is_blank(block: Any) -> bool:
    """Whether the service would not take its own block back."""
    return block.type == "text" and not block.text.strip()
