"""Looks through a clean log once, with every matcher."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from cicdctl.fixing.matchers.blocks import Blocks
from cicdctl.fixing.matchers.counts import TestCounts
from cicdctl.fixing.matchers.drafts import Draft
from cicdctl.fixing.matchers.one_line import read_line
from cicdctl.model import Value
from cicdctl.model.fixing import Diagnostic

MOST_DIAGNOSTICS = 200


class Found(Value, frozen=True, kw_only=True):
    """Diagnostics in the order of the log, the numbers of the lines that belong to one, and counts of tests."""

    diagnostics: tuple[Diagnostic, ...] = ()
    claimed: frozenset[int] = frozenset()
    counts: Mapping[str, int] = {}


def find_diagnostics(lines: Sequence[str]) -> Found:
    """Return what tools complained about. `lines` are normal and redacted; linear in their length."""
    blocks, counts = Blocks(), TestCounts()
    drafts: list[Draft] = []
    claimed: set[int] = set()
    for number, line in enumerate(lines, 1):
        if line.startswith(("{", "[{")):
            found = list(_from_json(line, number))
            if found:
                drafts += found
                claimed.add(number)
                continue
        if counts.read(line):
            claimed.add(number)
            continue
        own = read_line(line, number)
        if own is not None and not (own.tool == "gofmt" and not _is_gofmt(lines, number)):
            drafts.append(own)
            claimed.add(number)
        elif blocks.read(line, number):
            claimed.add(number)
    everything = sorted([*drafts, *blocks.drafts], key=lambda draft: draft.start)
    kept = [draft.done() for draft in everything if draft.message or draft.test_id]
    return Found(
        diagnostics=tuple(dict.fromkeys(kept))[:MOST_DIAGNOSTICS], claimed=frozenset(claimed), counts=counts.result()
    )


def _is_gofmt(lines: Sequence[str], number: int) -> bool:
    """A bare file name means something only where its neighbours are such names, or the log is one."""
    return len(lines) <= 50 and all(line.endswith(".go") or not line or line.startswith(("$", "+")) for line in lines)


def _from_json(line: str, number: int) -> Iterable[Draft]:
    """Read a report that a tool printed as JSON: ruff and eslint as lists, `go test -json` line by line."""
    if len(line) > 1_000_000:
        return
    try:
        document = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return
    if isinstance(document, dict):
        yield from _go_event(document, number)
        return
    for entry in document if isinstance(document, list) else ():
        if isinstance(entry, dict) and "filename" in entry:
            yield from _ruff_entry(entry, number)
        elif isinstance(entry, dict) and "filePath" in entry:
            yield from _eslint_entry(entry, number)


def _go_event(event: dict[str, Any], number: int) -> Iterable[Draft]:
    if event.get("Action") == "fail" and isinstance(event.get("Test"), str):
        yield Draft("go", "test", f"{event['Test']} failed", number, test_id=event["Test"])


def _ruff_entry(entry: dict[str, Any], number: int) -> Iterable[Draft]:
    place = entry.get("location")
    draft = Draft("ruff", "lint", str(entry.get("message", "")), number, code=str(entry.get("code") or ""))
    row = place.get("row") if isinstance(place, dict) else None
    draft.place(str(entry["filename"]), row if isinstance(row, int) else None)
    yield draft


def _eslint_entry(entry: dict[str, Any], number: int) -> Iterable[Draft]:
    messages = entry.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("severity") == 2:
            draft = Draft(
                "eslint", "lint", str(message.get("message", "")), number, code=str(message.get("ruleId") or "")
            )
            row = message.get("line")
            draft.place(str(entry["filePath"]), row if isinstance(row, int) else None)
            yield draft
