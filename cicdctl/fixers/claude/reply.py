"""A reply of the model, read from a stream to its very end; one that breaks off is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from cicdctl.fixers.claude.conditions import lost_trouble, status_trouble
from cicdctl.fixers.claude.models import CHARS_PER_TOKEN, Price
from cicdctl.model import Value
from cicdctl.model.fixing import FixUsage

if TYPE_CHECKING:
    import httpx2
    from anthropic import Anthropic


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


class Reading:
    """Reads one stream, and keeps count of what it has cost however it ends.

    `chars` were sent. `check()` is called at each event, and raises when nobody wants the answer any more.
    """

    def __init__(self, chars: int, *, timeout: httpx2.Timeout, check: Callable[[], None]) -> None:
        self.inputs: dict[int, str] = {}
        self._timeout = timeout
        self._check = check
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
            with client.messages.stream(**body, timeout=self._timeout) as stream:
                self._request_id = stream.request_id
                for event in stream:
                    self._check()
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


def make_reply(message: Any, usage: FixUsage, inputs: dict[int, str]) -> Reply:
    """Turn a whole message into a reply; `inputs` is the JSON of its calls as it came."""
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
