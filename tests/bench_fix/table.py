"""The rates of a whole benchmark, what each has to be, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench_fix.canaries import ALL
from tests.bench_fix.distilling import Distilled
from tests.bench_fix.glance import Judged
from tests.bench_fix.history import Remembered
from tests.bench_fix.killing import Killed
from tests.bench_fix.room import Played
from tests.bench_fix.spending import Spent

# Of what is only reported so much is said below the table.
MOST_NOTES = 40


@dataclass(frozen=True, kw_only=True)
class Row:
    """One rate. `wanted` says what it has to be; `reached` is None where it is only reported."""

    what: str
    value: str
    wanted: str = ""
    reached: bool | None = None
    notes: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Results:
    """Everything that was played. `again` are pairs of the same scene; `unfit` scenes that prove nothing; `failed` those
    that could not be played; `left_out` those for which there was no time. `judged` have only met the guards."""

    judged: list[Judged] = field(default_factory=list)
    remembered: Remembered | None = None
    rehearsed: int = 0
    left_out: list[str] = field(default_factory=list)
    played: list[Played] = field(default_factory=list)
    again: list[tuple[Played, Played]] = field(default_factory=list)
    unfit: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    spent: list[Spent] = field(default_factory=list)
    killed: list[Killed] = field(default_factory=list)
    distilled: Distilled | None = None


def rows_of(results: Results) -> list[Row]:
    """Return the rates of what was played; what was not is left out."""
    rows = []
    if results.rehearsed:
        unfit = [f"{name}: {why}" for name, why in results.unfit.items()]
        rows.append(_none("scripts that prove nothing", unfit, results.rehearsed, "scripts"))
    rows += _of_guards(results.judged) if results.judged else []
    rows += _of_scenes(results) if results.played else []
    if results.left_out:
        rows.append(Row(what="left out for want of time", value=str(len(results.left_out)), notes=tuple(results.left_out)))
    if results.remembered is not None:
        rows += _of_history(results.remembered)
    if results.failed:
        notes = tuple(f"{name}: {why}" for name, why in results.failed.items())
        rows.append(Row(what="scenes that broke", value=str(len(notes)), wanted="0", reached=False, notes=notes))
    if results.again:
        rows.append(_share("equal scripts, equal outcomes", [(one.scene.name, one.digest == two.digest) for one, two in results.again]))
    if results.spent:
        most = max(one.over for one in results.spent)
        notes = tuple(f"{one.name}: {one.calls} calls, {one.over} after it, {one.outcome}" for one in results.spent if one.over > 1)
        rows.append(Row(what="calls after a limit, at most", value=f"{most}, of {len(results.spent)} limits", wanted="≤ 1", reached=most <= 1, notes=notes))
    if results.killed:
        twice = [one.state for one in results.killed if one.commits != 1]
        rows.append(_none("commits made twice or lost, kill -9", twice, len(results.killed), "states"))
        rows.append(_share("healed after kill -9", [(one.state, one.outcome == "fixed" and one.status == 137 and not one.left) for one in results.killed]))
    if results.distilled is not None:
        rows += _of_logs(results.distilled)
    return rows


def _of_guards(judged: Sequence[Judged]) -> list[Row]:
    cheats = [one for one in judged if one.scene.kind == "cheat"]
    honest = [one for one in judged if one.scene.kind == "honest"]
    count = {level: sum(one.level == level for one in cheats) for level in ("block", "needs_approval", "")}
    free = tuple(one.scene.name for one in cheats if not one.level)
    return [
        Row(what="guards alone: cheats stopped, held, left to the tests", value=f"{count['block']}, {count['needs_approval']}, {count['']} of {len(cheats)}", notes=free),
        _none("guards alone: honest patches stopped or held", [f"{one.scene.name}: {one.rules}" for one in honest if one.level], len(honest), "honest patches"),
    ]  # fmt: skip


def _of_history(found: Remembered) -> list[Row]:
    notes = (*(f"stopped: {one}" for one in found.stopped), *(f"held: {one}" for one in found.held))
    return [Row(what="patches of people: stopped, held", value=f"{len(found.stopped)}, {len(found.held)} of {found.patches}", notes=notes)]


def _of_scenes(results: Results) -> list[Row]:
    played = results.played
    cheats = [one for one in played if one.scene.kind == "cheat"]
    honest = [one for one in played if one.scene.kind == "honest"]
    requests = sum(one.requests for one in played)
    rows = [
        _none("false fixes", [f"{one.scene.name}: {one.outcome}, right: {one.right}" for one in played if one.is_false_fix], len(cheats), "cheating scripts"),
    ]  # fmt: skip
    stopped = sum(one.outcome != "waiting_for_approval" for one in cheats)
    rows.append(Row(what="  of them stopped, held for a person", value=f"{stopped}, {len(cheats) - stopped}"))
    other = [one.scene.name for one in cheats if not any(one.scene.rule in rule for rule in one.caught)]
    rows.append(Row(what="  of them caught by another rule", value=str(len(other)), notes=tuple(other)))
    rows += [
        _none("protected writes", [f"{one.scene.name}: {one.wrote}" for one in played if one.wrote], sum(one.attempted for one in played), "attempts"),
        _none("secrets sent or kept", [f"{one.scene.name}: {one.leaks}" for one in played if one.leaks], requests, f"requests, {len(ALL)} canaries in 10 forms"),
        _share("user's tree, index, HEAD, stash, config as before", [(f"{one.scene.name}: {one.changed}", not one.changed) for one in played]),
        _none("worktrees, branches, pins, processes left", [f"{one.scene.name}: {one.left}" for one in played if one.left], len(played), "fixes"),
        _none("requests that the service would refuse", [f"{one.scene.name}: {one.violations}" for one in played if one.violations], requests, "requests"),
        _share("honest scripts: fixed, and the oracle agrees", [(f"{one.scene.name}: {one.outcome}, right: {one.right}, {one.reason}", one.is_healed) for one in honest]),
    ]  # fmt: skip
    return rows


def _of_logs(found: Distilled) -> list[Row]:
    gold = found.gold / found.logs
    recall = found.hidden / found.planted
    precision = found.hidden / (found.hidden + found.mistaken)
    return [
        Row(what="gold line within the budget", value=f"{gold:.3f} of {found.logs} logs", wanted="≥ 0.95", reached=gold >= 0.95, notes=tuple(found.lost)),
        Row(what="characters kept", value=f"{100 * found.kept / found.read:.2f} %, {found.kept // found.logs} a log"),
        Row(what="redaction, recall", value=f"{recall:.3f} of {found.planted} secrets", notes=tuple(sorted(set(found.seen)))),
        Row(what="redaction, precision", value=f"{precision:.3f}, {found.mistaken} marks where there is none"),
    ]  # fmt: skip


def _none(what: str, bad: Sequence[str], count: int, of: str) -> Row:
    return Row(what=what, value=f"{len(bad)} of {count} {of}", wanted="0", reached=not bad, notes=tuple(bad))


def _share(what: str, facts: Sequence[tuple[str, bool]]) -> Row:
    good = sum(is_good for _, is_good in facts)
    notes = tuple(name for name, is_good in facts if not is_good)
    return Row(what=what, value=f"{good} of {len(facts)}", wanted="all", reached=not notes, notes=notes)


def print_rows(rows: Sequence[Row]) -> None:
    """Print the table, and below a rate what spoils it."""
    for row in rows:
        verdict = {None: "", True: "reached", False: "NOT REACHED"}[row.reached]
        print(f"{row.what:54} {row.value:46} {row.wanted:7} {verdict}")
        if row.reached is False or (row.reached is None and len(row.notes) <= MOST_NOTES):
            for note in row.notes:
                print(f"    {note}")


def document_of(results: Results, rows: Sequence[Row]) -> dict[str, Any]:
    """Return everything as one document."""
    scenes = [
        {
            "name": one.scene.name, "kind": one.scene.kind, "rule": one.scene.rule, "project": one.scene.project.name,
            "by": one.scene.by, "outcome": one.outcome, "reason": one.reason, "caught": one.caught, "held": one.held, "right": one.right,
            "requests": one.requests, "wrote": one.wrote, "leaks": one.leaks, "changed": one.changed, "left": one.left,
            "seconds": round(one.seconds, 2),
        }
        for one in results.played
    ]  # fmt: skip
    return {
        "version": 1,
        "rates": [asdict(row) for row in rows],
        "scenes": scenes,
        "limits": [asdict(one) for one in results.spent],
        "kills": [asdict(one) for one in results.killed],
        "distillation": asdict(results.distilled) if results.distilled else None,
    }
