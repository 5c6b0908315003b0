"""What the server can be told to answer: a message, an error, or a fault of the network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from messages_api.blocks import Block

Breakage = Literal["drop", "reset", "hang", "end", "error"]
FaultKind = Literal["reset", "close", "hang", "garbage", "html"]


@dataclass(frozen=True)
class Reply:
    """A message. `breaks` ends its stream early, once `after` events are out (None: all but the last two)."""

    content: tuple[Block, ...]
    stop: str | None = None
    stop_details: Mapping[str, Any] | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    breaks: Breakage | None = None
    after: int | None = None
    error_type: str = "overloaded_error"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def stop_reason(self) -> str:
        """What was scripted, or what its blocks mean."""
        if self.stop is not None:
            return self.stop
        is_call = any(one.document["type"] == "tool_use" for one in self.content)
        return "tool_use" if is_call else "end_turn"

    def message(self, number: int, model: str) -> dict[str, Any]:
        """The whole message as one document."""
        return {
            "id": f"msg_{number:024}",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [one.document for one in self.content],
            "stop_reason": self.stop_reason,
            "stop_sequence": None,
            "stop_details": self.stop_details,
            "container": None,
            "usage": self.full_usage(),
        }

    def full_usage(self) -> dict[str, Any]:
        """What the message has cost, in tokens."""
        plain = {
            "input_tokens": 1000,
            "output_tokens": 100,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "service_tier": "standard",
        }
        return {**plain, **self.usage}

    def events(self, number: int, model: str) -> Iterator[dict[str, Any]]:
        """Yield the events of the stream, in order."""
        usage = self.full_usage()
        begun = self.message(number, model) | {"content": [], "stop_reason": None, "stop_details": None}
        yield {"type": "message_start", "message": begun | {"usage": usage | {"output_tokens": 1}}}
        yield {"type": "ping"}
        for index, one in enumerate(self.content):
            yield {"type": "content_block_start", "index": index, "content_block": one.start()}
            for delta in one.deltas():
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        delta = {
            "stop_reason": self.stop_reason,
            "stop_sequence": None,
            "stop_details": self.stop_details,
            "container": None,
        }
        counts = {name: value for name, value in usage.items() if name != "service_tier"}
        yield {"type": "message_delta", "delta": delta, "usage": counts}
        yield {"type": "message_stop"}


@dataclass(frozen=True)
class Failure:
    """An answer that is an error. 502 comes as HTML, from whoever stands before the service."""

    status: int
    kind: str = "api_error"
    message: str = "something is wrong"
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, request_id: str) -> tuple[str, bytes]:
        """Return content type and bytes."""
        if self.status == 502:
            return "text/html", b"<html><head><title>502 Bad Gateway</title></head></html>"
        details = {"error_code": self.code} if self.code else None
        error = {"type": self.kind, "message": self.message, "details": details}
        return "application/json", json.dumps({"type": "error", "error": error, "request_id": request_id}).encode()


@dataclass(frozen=True)
class Fault:
    """No answer at all, or one that is none."""

    kind: FaultKind


Answer = Reply | Failure | Fault
Script = Answer | Callable[[Any], Answer]
