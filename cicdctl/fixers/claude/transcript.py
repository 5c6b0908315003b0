"""What is kept of a conversation: one JSON document a line, redacted, and never what only the model understands."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from cicdctl.fixers.claude.reply import Call, Reply

MOST_CHARS = 4_000_000
_MOST_TEXT = 20_000


class Transcript:
    """Collects lines; keeps none when it is not `wanted`."""

    def __init__(self, *, wanted: bool, redact: Callable[[str], str]) -> None:
        self._wanted = wanted
        self._redact = redact
        self._lines: list[str] = []
        self._chars = 0

    @property
    def lines(self) -> tuple[str, ...]:
        """What is kept."""
        return tuple(self._lines)

    def said(self, role: str, words: str, **more: Any) -> None:
        """Keep words that were said to or by the model."""
        self._keep({"role": role, "text": words, **more})

    def replied(self, reply: Reply, model: str) -> None:
        """Keep a reply: its words and calls, not its thoughts; of a refusal nothing of what came before it."""
        is_refused = reply.stop == "refusal"
        calls = [] if is_refused else [{"tool": call.name, "input": call.input} for call in reply.calls]
        self._keep({
            "role": "model",
            "model": model,
            "stop": reply.stop,
            "text": "" if is_refused else reply.text,
            "calls": calls,
            "cost_usd": round(reply.usage.cost_usd, 6),
            "request": next(iter(reply.usage.request_ids), None),
        })  # fmt: skip

    def resulted(self, call: Call, text: str, is_error: bool) -> None:
        """Keep what a call came to."""
        self._keep({"role": "tool", "tool": call.name, "is_error": is_error, "text": text})

    def _keep(self, document: dict[str, Any]) -> None:
        if not self._wanted or self._chars > MOST_CHARS:
            return
        line = json.dumps(self._clean(document), ensure_ascii=False, default=str)
        self._chars += len(line)
        self._lines.append(line)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redact(value)[:_MOST_TEXT]  # half a secret looks like nothing
        if isinstance(value, dict):
            return {self._clean(str(name)): self._clean(one) for name, one in value.items()}
        return [self._clean(one) for one in value] if isinstance(value, (list, tuple)) else value
