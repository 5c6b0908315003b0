"""What is said to and by the model, in the shape that the service wants, and no longer than it has to be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cicdctl.fixers.claude.reply import Call, Reply

KEEP_RESULTS = 5


class Conversation:
    """Alternating messages. The last one is always ours, so a reply may be dropped and asked for again."""

    def __init__(self, first: str) -> None:
        self.messages: list[dict[str, Any]] = [{"role": "user", "content": [_text(first)]}]
        self._turns: list[str] = []

    def add_turn(self, reply: Reply, results: Sequence[tuple[Call, str, bool]]) -> None:
        """Add a reply and what its calls came to: text, and whether it is an error. Results come first."""
        self.messages.append({"role": "assistant", "content": reply.content})
        content = [
            {"type": "tool_result", "tool_use_id": call.id, "content": text or "(nothing)", "is_error": is_error}
            for call, text, is_error in results
        ]
        self.messages.append({"role": "user", "content": content})
        calls = [[call.name, call.input] for call in reply.calls]
        self._turns.append(json.dumps(calls, sort_keys=True, default=str))

    def say(self, words: str) -> None:
        """Add words to our last message, behind the results in it."""
        self.messages[-1]["content"].append(_text(words))

    def equal_turns(self) -> int:
        """Return how many of the last turns were the same calls."""
        if not self._turns:
            return 0
        count = 0
        for turn in reversed(self._turns):
            if turn != self._turns[-1]:
                break
            count += 1
        return count

    def elide(self) -> None:
        """Leave out old results: half the price, and as many failures repaired (arXiv 2508.21433)."""
        results = [
            block
            for message in self.messages
            if message["role"] == "user"
            for block in message["content"]
            if block["type"] == "tool_result"
        ]
        for block in results[:-KEEP_RESULTS]:
            if not block["content"].startswith("[output elided"):
                block["content"] = f"[output elided, {len(block['content'])} chars]"


def _text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}
