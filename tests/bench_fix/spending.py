"""A talkative model with a purse: how many calls are made after a limit was reached."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from messages_api import Answer, MessagesApi, Recorded, Reply, tool

from tests.bench_fix.projects import MEDIAN
from tests.bench_fix.room import make_repository

# Dollars per million tokens, in and out (November 2026).
PRICES = {"claude-sonnet-5-5": (2.0, 10.0), "claude-opus-5-5": (4.0, 20.0)}
MOST_ANSWERS = 100


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What one limit led to: calls in all, and those that were begun when it had been reached."""

    name: str
    outcome: str
    calls: int
    over: int


class Meter:
    """Answers with calls that lead nowhere, and notes what had been used when each was begun."""

    def __init__(self, *, input_tokens: int, output_tokens: int) -> None:
        self._usage = {"input_tokens": input_tokens, "output_tokens": output_tokens}
        self.before: list[dict[str, float]] = []
        self._used = {"usd": 0.0, "turns": 0.0, "output": 0.0}

    def __call__(self, request: Recorded) -> Answer:
        self.before.append(dict(self._used))
        dear = PRICES[request.model]
        self._used["usd"] += self._usage["input_tokens"] * dear[0] / 1e6 + self._usage["output_tokens"] * dear[1] / 1e6
        self._used["turns"] += 1
        self._used["output"] += self._usage["output_tokens"]
        look = tool("view", path="src/stats.py", start=len(self.before), end=len(self.before) + 1)
        return Reply((look,), usage=self._usage)


LIMITS: dict[str, tuple[str, dict[str, int], Callable[[dict[str, float]], bool], int]] = {
    "max_cost_usd = 1.0": ("", {"input_tokens": 100_000, "output_tokens": 10_000}, lambda used: used["usd"] >= 1.0, 1),
    "max_cost_usd = 0.2": ("max_cost_usd = 0.2\n", {"input_tokens": 1_000, "output_tokens": 300}, lambda used: used["usd"] >= 0.2, 1),
    "daily_cost_usd = 0.5": ("daily_cost_usd = 0.5\n", {"input_tokens": 60_000, "output_tokens": 6_000}, lambda used: used["usd"] >= 0.5, 3),
    "max_turns = 4": ("max_turns = 4\n", {"input_tokens": 1_000, "output_tokens": 100}, lambda used: used["turns"] >= 4, 1),
    "60,000 output tokens": ("", {"input_tokens": 100, "output_tokens": 15_900}, lambda used: used["output"] >= 60_000, 1),
}  # fmt: skip


def spend(name: str, root: Path) -> Spent:
    """Play one limit in an empty folder: as many fixes one after the other as it says."""
    claude, usage, is_over, fixes = LIMITS[name]
    folder = make_repository(root, MEDIAN, claude=claude)
    meter: Any = Meter(**usage)
    with MessagesApi() as api:
        folder.env["ANTHROPIC_BASE_URL"] = api.url
        api.will(*[meter] * MOST_ANSWERS)
        for _ in range(fixes):
            done = folder.cicdctl("fix", "1", "--json", "--again", "--fixer", "claude")
        record = json.loads(done.stdout)
    over = sum(map(is_over, meter.before))
    return Spent(name=name, outcome=record["outcome"], calls=len(meter.before), over=over)
