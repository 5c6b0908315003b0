"""The blocks that a reply is made of, and the pieces in which a stream sends them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Block:
    """One block as the service sends it. `raw_input` replaces the JSON of a tool's input in a stream."""

    document: dict[str, Any]
    raw_input: str | None = None
    pieces: int = field(default=7)

    def start(self) -> dict[str, Any]:
        """The block as it stands in `content_block_start`: empty."""
        kind = self.document["type"]
        empty = {
            "text": {"text": ""},
            "thinking": {"thinking": "", "signature": ""},
            "tool_use": {"input": {}},
        }
        return {**self.document, **empty.get(kind, {})}

    def deltas(self) -> Iterator[dict[str, Any]]:
        """Yield what fills it, cut anywhere, inside the tokens of JSON too."""
        kind = self.document["type"]
        if kind == "text":
            for piece in _cut(self.document["text"], self.pieces):
                yield {"type": "text_delta", "text": piece}
        elif kind == "thinking":
            for piece in _cut(self.document["thinking"], self.pieces):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": self.document["signature"]}
        elif kind == "tool_use":
            yield {"type": "input_json_delta", "partial_json": ""}
            raw = json.dumps(self.document["input"]) if self.raw_input is None else self.raw_input
            for piece in _cut(raw, self.pieces):
                yield {"type": "input_json_delta", "partial_json": piece}


def text(words: str) -> Block:
    """Words of the model."""
    return Block({"type": "text", "text": words, "citations": None})


def thinking(words: str = "let me see") -> Block:
    """A thought; the server signs it for the model that is asked."""
    return Block({"type": "thinking", "thinking": words, "signature": f"sig{next(_numbers):04}"})


def tool(_name: str, *, raw: str | None = None, **arguments: Any) -> Block:
    """A call of a tool; `raw` is sent instead of the JSON of the arguments."""
    document = {
        "type": "tool_use",
        "id": f"toolu_{next(_numbers):024}",
        "name": _name,
        "input": arguments,
        "caller": {"type": "direct"},
    }
    return Block(document, raw_input=raw)


def block(**document: Any) -> Block:
    """A block of any other kind."""
    return Block(document)


def _cut(words: str, pieces: int) -> Iterator[str]:
    size = max(1, -(-len(words) // pieces))
    for start in range(0, len(words), size):
        yield words[start : start + size]
