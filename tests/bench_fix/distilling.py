"""Logs of real tools, as they come, amid noise and secrets: is the line that people need in the excerpt, and nothing else?"""

from __future__ import annotations

from dataclasses import dataclass, field

from golden_logs import CASES, CHANGES, NOISE, load
from planted_secrets import KNOWN, LEAKS, READABLE

from cicdctl.fixing.capture import Evidence, capture, clean_lines
from cicdctl.fixing.excerpt import MOST_CHARS
from cicdctl.fixing.own_files import OwnFiles
from cicdctl.fixing.redact import Redactor
from cicdctl.model import Run, RunState, StageResult, TriggerKind, Verdict

RUN = Run(number=1, pipeline="build", commit="c" * 40, tree="d" * 40, trigger=TriggerKind.MANUAL, state=RunState.DONE)
RESULT = StageResult(stage="unit", verdict=Verdict.FAILED, exit_code=1)
_MOST_PLANTED = 8
_NOISE = "\n".join(NOISE).encode()


@dataclass(kw_only=True)
class Distilled:
    """Logs whose gold line is in the excerpt, characters, and secrets: planted, hidden, and marks where none was."""

    logs: int = 0
    gold: int = 0
    lost: list[str] = field(default_factory=list)
    read: int = 0
    kept: int = 0
    planted: int = 0
    hidden: int = 0
    seen: list[str] = field(default_factory=list)
    mistaken: int = 0


def distil(cases: list[str] | None = None) -> Distilled:
    """Distil each golden log as it is and as it comes, with and without its noise, and with secrets in it."""
    found = Distilled()
    for number, case in enumerate(cases or CASES):
        raw, expected = load(case)
        # Two of the ways in which it may come, others for each log: the tests of the matchers have them all.
        for change in (None, CHANGES[number % len(CHANGES)], CHANGES[(number + 3) % len(CHANGES)]):
            _measure_gold(found, case, change.__name__ if change else "", change(raw) if change else raw, expected["gold"])
        _measure_secrets(found, raw, number)
    for text in READABLE:
        redactor = Redactor()
        redactor.text(text)
        found.mistaken += sum(redactor.counts.values())
    return found


def _measure_gold(found: Distilled, case: str, change: str, raw: bytes, gold: str) -> None:
    log = b"\n".join([_NOISE, raw, _NOISE])
    bundle = capture(Evidence(run=RUN, result=RESULT, log=log), OwnFiles([], {}.get), Redactor())
    found.logs += 1
    if gold in bundle.excerpt and len(bundle.excerpt) <= MOST_CHARS:
        found.gold += 1
    else:
        found.lost.append(f"{case} {change}".strip())
    found.read += len(log)
    found.kept += len(bundle.excerpt)


def _measure_secrets(found: Distilled, raw: bytes, number: int) -> None:
    plain = Redactor()
    plain.text("\n".join(clean_lines(raw, plain)))
    found.mistaken += sum(plain.counts.values())
    names = sorted(LEAKS)
    for name in [names[(number * 7 + step) % len(names)] for step in range(_MOST_PLANTED)]:
        text, secret = LEAKS[name]
        lines = raw.split(b"\n")
        middle = len(lines) // 2
        log = b"\n".join([*lines[:middle], text.encode(), *lines[middle:]])
        redactor = Redactor({"SHOP": KNOWN})
        shown = redactor.text("\n".join(clean_lines(log, redactor)))
        found.planted += 1
        if secret in shown:
            found.seen.append(name)
        else:
            found.hidden += 1
