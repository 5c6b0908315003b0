"""Questions over many runs, answered page by page from sorted sets, and forgetting old ones."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence

from cicdctl.plugin_api import GreenFloor, Run, RunFilter, RunState, StageResult, Verdict, documents
from cicdctl_redis import records, results
from cicdctl_redis.ledger import Ledger, Transaction

clean = documents.clean
_RECENT_RUNS = 1000
_PAGE = 100
_BATCH = 200
_BATCH_PAUSE_S = 0.01


def find_runs(ledger: Ledger, wanted: RunFilter) -> list[Run]:
    """See `StateStore.runs`."""
    found: list[Run] = []
    if wanted.limit < 1:
        return found
    index, is_exact = _index_of(wanted)
    start = "+inf" if wanted.before is None else f"({wanted.before}"
    page = min(1000, wanted.limit) if is_exact else _PAGE
    while True:
        numbers = ledger.ask(("ZREVRANGEBYSCORE", ledger.key(*index), start, "-inf", "LIMIT", "0", str(page)))[0]
        for run in _load(ledger, numbers):
            if _matches(run, wanted):
                found.append(run)
                if len(found) == wanted.limit:
                    return found
        if len(numbers) < page:
            return found
        start = f"({numbers[-1]}"


def _index_of(wanted: RunFilter) -> tuple[tuple[str, ...], bool]:
    """Give the smallest index that holds all that is wanted, and whether it holds nothing else."""
    values = (wanted.pipeline, wanted.commit, wanted.tree, wanted.ref, wanted.verdict)
    asked = sum(value is not None for value in values)
    is_whole = not wanted.left_out
    if wanted.active:
        return ("active",), is_whole and asked == 0
    is_exact = is_whole and asked == 1 and wanted.active is None
    if wanted.commit is not None:
        return ("commit", clean(wanted.commit)), is_exact
    if wanted.tree is not None:
        return ("tree", clean(wanted.tree)), is_exact
    if wanted.ref is not None:
        return ("ref", clean(wanted.ref)), is_exact
    if wanted.pipeline is not None and wanted.verdict is not None:
        return ("ended", wanted.verdict, clean(wanted.pipeline)), is_whole
    if wanted.pipeline is not None:
        return ("pipeline", clean(wanted.pipeline)), is_exact
    if wanted.verdict is not None:
        return ("verdict", wanted.verdict), is_whole
    return ("runs",), is_whole and wanted.active is None


def _matches(run: Run, wanted: RunFilter) -> bool:
    return (
        (wanted.pipeline is None or run.pipeline == clean(wanted.pipeline))
        and (wanted.commit is None or run.commit == clean(wanted.commit))
        and (wanted.tree is None or run.tree == clean(wanted.tree))
        and (wanted.ref is None or (run.ref is not None and clean(run.ref) == clean(wanted.ref)))
        and (wanted.verdict is None or run.verdict == wanted.verdict)
        and (wanted.active is None or wanted.active == (run.state is not RunState.DONE))
        and run.trigger not in wanted.left_out
    )


def _load(ledger: Ledger, numbers: Sequence[str]) -> list[Run]:
    """Read runs; those that were forgotten meanwhile are passed over."""
    if not numbers:
        return []
    found = ledger.ask(*(("HGET", ledger.key("run", number), "document") for number in numbers))
    return [records.decode_run(row, number) for row, number in zip(found, numbers, strict=True) if row is not None]


def recent_results(ledger: Ledger, pipeline: str, stage: str, limit: int) -> list[tuple[int, StageResult]]:
    """See `StateStore.recent_results`."""
    name = clean(stage)
    newest = ledger.ask(("ZREVRANGE", ledger.key("pipeline", clean(pipeline)), "0", str(_RECENT_RUNS - 1)))[0]
    found: list[tuple[int, StageResult]] = []
    for numbers in _pages(newest, _PAGE):
        if len(found) >= max(0, limit):
            break
        rows = ledger.ask(*(("HGET", ledger.key("stages", number), name) for number in numbers))
        known = [(number, row) for number, row in zip(numbers, rows, strict=True) if row is not None]
        if not known:
            continue
        tries = ledger.ask(*(("HGETALL", ledger.key("attempts", number)) for number, _ in known))
        for (number, row), attempts in zip(known, tries, strict=True):
            ended = results.ended_attempts(attempts, int(number)).get(name, ())
            result = results.read_stage(row, stage, int(number), ended)
            if result is not None:
                found.append((int(number), result))
    return found[: max(0, limit)]


def _pages(numbers: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for at in range(0, len(numbers), size):
        yield numbers[at : at + size]


def pipelines(ledger: Ledger) -> list[str]:
    """Give the names of all pipelines that have run, in order."""
    return sorted(ledger.ask(("SMEMBERS", ledger.key("pipelines")))[0], key=str.encode)


def latest_per_pipeline(ledger: Ledger, limit: int) -> dict[str, list[Run]]:
    """See `StateStore.latest_per_pipeline`."""
    found: dict[str, list[Run]] = {}
    for name in pipelines(ledger):
        newest = find_runs(ledger, RunFilter(pipeline=name, trials=False, limit=limit))
        if newest:
            found[name] = newest
    return found


def green_floor(ledger: Ledger) -> GreenFloor:
    """See `StateStore.green_floor`."""
    runs = {int(number) for number in ledger.ask(("ZRANGE", ledger.key("active"), "0", "-1"))[0]}
    for name in pipelines(ledger):
        green = RunFilter(pipeline=name, verdict=Verdict.PASSED, fixes=False, limit=1)
        runs |= {run.number for run in find_runs(ledger, green)}
    numbers = [str(number) for number in sorted(runs)]
    found: list[StageResult] = []
    for page in _pages(numbers, _PAGE):
        rows = ledger.ask(*(("HGETALL", ledger.key("stages", number)) for number in page))
        for number, stages in zip(page, rows, strict=True):
            read = (results.read_stage(row, name, int(number), ()) for name, row in stages.items())
            found += [result for result in read if result is not None]
    return GreenFloor(
        runs=frozenset(map(int, numbers)),
        keys=frozenset(result.key for result in found if result.key is not None),
        manifests=frozenset(result.manifest for result in found if result.manifest is not None),
    )


def _green(ledger: Ledger, pipeline: str) -> str:
    return ledger.key("ended", Verdict.PASSED, clean(pipeline))


def prune(ledger: Ledger, keep_last: int, max_age_s: float | None, keep: Collection[int]) -> list[int]:
    """See `StateStore.prune`."""
    before = float("inf") if max_age_s is None else time.time() - max_age_s
    gone: list[int] = []
    for name in pipelines(ledger):
        after = 0
        while True:
            # What is old is looked at oldest first; the newest `keep_last` are never reached.
            index = ledger.key("pipeline", name)
            numbers, size, green = ledger.ask(
                ("ZRANGEBYSCORE", index, f"({after}", "+inf", "LIMIT", "0", str(_BATCH)),
                ("ZCARD", index),
                ("ZREVRANGE", _green(ledger, name), "0", "0"),
            )
            if not numbers:
                break
            rank = ledger.ask(("ZRANK", index, numbers[0]))[0]
            free = 0 if rank is None else max(0, size - max(0, keep_last) - rank)
            wanted = [int(number) for number in numbers[:free] if number not in green and int(number) not in keep]
            if wanted:
                gone += _forget(ledger, name, wanted, before)
            if len(numbers) < _BATCH or free < len(numbers):
                break
            after = int(numbers[-1])
            time.sleep(_BATCH_PAUSE_S)
    return sorted(gone)


def _forget(ledger: Ledger, pipeline: str, numbers: Sequence[int], before: float) -> list[int]:
    def remove(change: Transaction) -> list[int]:
        # Asked again: one may have been taken over, or become the last green one, in between.
        green, *lists = ledger.send(
            ("ZREVRANGE", _green(ledger, pipeline), "0", "0"),
            *(("LRANGE", ledger.key("events", number), "0", "-1") for number in numbers),
        )
        gone = []
        for number, events in zip(numbers, lists, strict=True):
            run = records.read_run(change, number)
            is_old = run is not None and run.state is RunState.DONE and run.created_at < before
            if run is not None and is_old and str(number) not in green:
                records.forget(change, run, events)
                gone.append(number)
        return gone

    return ledger.change(remove, hashes=[("chains",), *(("run", number) for number in numbers)])
