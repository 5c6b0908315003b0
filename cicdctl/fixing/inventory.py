"""Which tests ran before a fix and after it: a repair that runs fewer of them is none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from cicdctl.errors import CicdError
from cicdctl.model import StageResult
from cicdctl.model.fixing import Suite, TestInventory
from cicdctl.project import Project

# Coverage may fall by so much: what is measured wobbles.
COVERAGE_SLACK = 0.1
_PARAMETERS = re.compile(r"\[(?:.*\]|[^\]]*)$", re.DOTALL)
_NAMES = ("executed", "passed", "failed", "skipped")

Integrity = Literal["ok", "shrunk", "unknown"]


def inventory_of(project: Project, result: StageResult) -> TestInventory:
    """Return the tests that a stage ran: by id where its JUnit report is kept, else the counts of its reports."""
    coverage = round(result.coverage.percent, 3) if result.coverage else None
    if result.inventory is not None:
        try:
            with project.blobs.open(result.inventory) as file:
                suites = msgspec.json.decode(file.read(), type=dict[str, Suite])
            return _with_counts(suites, coverage)
        except (CicdError, msgspec.DecodeError, OSError):
            pass  # gone from the cache: the counts are still known
    tests = result.tests
    if tests is None:
        return TestInventory(coverage=coverage)
    counts = {
        "executed": tests.passed + tests.failed,
        "passed": tests.passed,
        "failed": tests.failed,
        "skipped": tests.skipped,
    }
    return TestInventory(source="text", counts=counts, coverage=coverage)


def merge_inventories(parts: Iterable[TestInventory]) -> TestInventory:
    """Add up the stages of a run. With ids only where every part that counts has them."""
    known = [part for part in parts if part.source != "none"]
    covered = [part.coverage for part in known if part.coverage is not None]
    coverage = min(covered) if covered else None
    if not known:
        return TestInventory(coverage=coverage)
    counts = {name: sum(part.counts.get(name, 0) for part in known) for name in _NAMES}
    if any(part.source != "junit" for part in known):
        return TestInventory(source="text", counts=counts, coverage=coverage)
    suites: dict[str, Suite] = {}
    for number, part in enumerate(known):
        suites |= {f"{number}/{name}": suite for name, suite in part.suites.items()}
    return TestInventory(source="junit", suites=suites, counts=counts, coverage=coverage)


def compare_inventories(
    before: TestInventory,
    after: TestInventory,
    *,
    base: TestInventory | None = None,
    removed: frozenset[str] = frozenset(),
) -> tuple[Integrity, str]:
    """Say whether nothing was lost, and what was.

    Executed tests count, not recorded ones; what failed before may pass now. Ids are compared without their
    parameters, but as often as they ran over all invocations. `base` are the tests of the commit that failed: what
    a person took out since `before` is not missed there. `removed` are ids whose test a person deleted. Without ids
    the counts are compared; without any it is unknown.
    """
    if before.source == "none" and after.source == "none":
        return "unknown", "no stage reports its tests"
    if after.source == "none":
        return "shrunk", "the tests are not reported any more"
    if before.source == "none":
        return "unknown", "no run before reports its tests"
    if before.counts.get("executed", 0) > 0 and after.counts.get("executed", 0) == 0:
        return "shrunk", "no test was executed"
    has_ids = before.source == "junit" and after.source == "junit"
    reason = _lost_ids(before, after, base, removed) if has_ids else _lost_counts(before, after)
    reason = reason or _more_skipped(before, after, base) or _less_coverage(before, after)
    return ("shrunk", reason) if reason else ("ok", "")


def _lost_ids(before: TestInventory, after: TestInventory, base: TestInventory | None, removed: frozenset[str]) -> str:
    known = _times(base, "executed") if base is not None else Counter()
    for kind, word in (("executed", "run"), ("passed", "pass")):
        now = _times(after, kind)
        wanted = {
            name: min(times, known[name]) if known[name] else times
            for name, times in _times(before, kind).items()
            if name not in removed
        }
        gone = sorted(name for name in wanted if not now[name])
        if gone:
            return f"{len(gone)} test{'s' * (len(gone) != 1)} did not {word}, such as {gone[0][:120]}"
        fewer = sorted(name for name, times in wanted.items() if now[name] < times)
        if fewer:
            return f"{fewer[0][:120]} did {word} {now[fewer[0]]} times instead of {wanted[fewer[0]]}"
    return ""


def _lost_counts(before: TestInventory, after: TestInventory) -> str:
    for kind in ("executed", "passed"):
        then, now = before.counts.get(kind, 0), after.counts.get(kind, 0)
        if now < then:
            return f"{now} tests {kind} instead of {then}"
    return ""


def _more_skipped(before: TestInventory, after: TestInventory, base: TestInventory | None) -> str:
    most = max(before.counts.get("skipped", 0), base.counts.get("skipped", 0) if base is not None else 0)
    now = after.counts.get("skipped", 0)
    return f"{now} tests skipped instead of {most}" if now > most else ""


def _less_coverage(before: TestInventory, after: TestInventory) -> str:
    then, now = before.coverage, after.coverage
    if then is None or (now is not None and now >= then - COVERAGE_SLACK):
        return ""
    return "coverage is not reported any more" if now is None else f"coverage is {now:.1f} % instead of {then:.1f} %"


def plain_id(name: str) -> str:
    """Return the id of a test without its parameters, which may be named anew; also where it was cut within them."""
    return _PARAMETERS.sub("", name)


def executed_ids(inventory: TestInventory) -> frozenset[str]:
    """Return the plain ids of the tests that ran."""
    return frozenset(_times(inventory, "executed"))


def _with_counts(suites: Mapping[str, Suite], coverage: float | None) -> TestInventory:
    counts = {name: sum(len(getattr(suite, name)) for suite in suites.values()) for name in _NAMES}
    return TestInventory(source="junit", suites=suites, counts=counts, coverage=coverage)


def _times(inventory: TestInventory, kind: str) -> Counter[str]:
    return Counter(plain_id(name) for suite in inventory.suites.values() for name in getattr(suite, kind))
