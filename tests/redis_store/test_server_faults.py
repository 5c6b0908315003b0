"""The server crashes, hangs, is emptied or lies: nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from cicdctl_redis.faults import Amnesia, Unreachable
from cicdctl_redis.journal import Batch, Journal
from cicdctl_redis.marker import agree
from cut_proxy import CutProxy
from redis import Redis

from cicdctl.errors import StoreError
from cicdctl.model import Attempt, RunFilter, RunState, StageResult, Verdict
from cicdctl.store import AttemptEnded, AttemptStarted, Noted, RunChanged, StageChanged, StageState, StaleRunner

RUNNING = RunChanged(state=RunState.RUNNING, started_at=1.0)
PASSED = RunChanged(state=RunState.DONE, verdict=Verdict.PASSED, finished_at=2.0)


def kinds(state, run=1):
    return [event.kind for event in state.events(run=run)]


def a_whole_stage():
    attempt = Attempt(number=1, verdict=Verdict.PASSED, started_at=1.0)
    return [
        [StageChanged(stage="unit", state=StageState.RUNNING), AttemptStarted(stage="unit", number=1, at=1.0)],
        [AttemptEnded(stage="unit", attempt=attempt)],
        [StageChanged(result=StageResult(stage="unit", verdict=Verdict.PASSED, attempts=(attempt,)))],
    ]


def test_what_was_acknowledged_survives_kill_9(open_redis, server, a_run):
    """The same open store goes on as soon as the server is there again."""
    state = open_redis()
    for _ in range(20):
        state.begin(a_run)
    server.kill()
    with pytest.raises(Unreachable, match="cannot be reached") as caught:
        state.runs(RunFilter())
    assert "start it" in caught.value.hint
    server.start()
    assert [run.number for run in state.runs(RunFilter(limit=100))] == list(range(20, 0, -1))
    assert state.begin(a_run).number == 21


class Interrupted(Redis):
    """Between its first question and the answer something else happens."""

    meanwhile: Callable[[], object] | None = None
    is_after = False

    def get(self, name):
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None and not self.is_after:
            happens()
        found = super().get(name)
        if happens is not None and self.is_after:
            happens()
        return found


@pytest.mark.parametrize("is_after", [False, True])
def test_two_processes_that_begin_at_once_agree(server, tmp_path, is_after):
    """Whoever is first while the other looks for a mark: both have the same, and nobody takes it for a loss."""
    plain = Redis(port=server.port, decode_responses=True)
    slow = Interrupted(port=server.port, decode_responses=True)
    begun = []
    slow.is_after = is_after
    slow.meanwhile = lambda: begun.append(agree(plain, "mark", "counters", tmp_path, "redis"))
    assert [agree(slow, "mark", "counters", tmp_path, "redis")] == begun
    plain.close()
    slow.close()


def test_a_run_goes_on_without_its_server(open_redis, server, a_run):
    """What it does is kept here, seen by its own process, and told in order by whoever comes next."""
    state = open_redis()
    run = state.begin(a_run)
    state.apply([RUNNING], run=1, epoch=run.epoch)
    server.kill()
    for changes in [*a_whole_stage(), [PASSED]]:
        state.apply(changes, run=1, epoch=1)
    assert state.cancel_reason(1) is None
    summary = state.load(1)
    assert (summary.run.verdict, summary.stages[0].verdict) == (Verdict.PASSED, Verdict.PASSED)
    state.close()
    server.start()

    other = open_redis()
    assert other.load(1).run.verdict is Verdict.PASSED
    assert other.load(1).stages[0].attempts[0].verdict is Verdict.PASSED
    assert kinds(other) == [
        "run_created", "run_started", "stage_started", "attempt_started", "attempt_finished", "stage_finished",
        "run_finished",
    ]  # fmt: skip
    assert Journal(server.folder.parent / "state").runs() == []


def test_a_run_that_comes_back_tells_before_it_goes_on(open_redis, server, a_run):
    state = open_redis()
    state.begin(a_run)
    state.apply([RUNNING], run=1, epoch=1)
    server.kill()
    state.apply([Noted(kind="away")], run=1, epoch=1)
    server.start()
    state.apply([Noted(kind="back")], run=1, epoch=1)
    state.apply([PASSED], run=1, epoch=1)
    assert kinds(open_redis()) == ["run_created", "run_started", "away", "back", "run_finished"]


def test_only_its_own_process_speaks_for_a_run(open_redis, server, a_run):
    """Somebody who did not begin it, nor take it over, is refused; so is a new run."""
    state = open_redis()
    state.begin(a_run)
    other = open_redis()
    assert other.load(1) is not None
    server.kill()
    with pytest.raises(Unreachable):
        other.apply([PASSED], run=1, epoch=1)
    with pytest.raises(Unreachable):
        other.begin(a_run)
    with pytest.raises(Unreachable):
        other.load(1)


def test_impossible_steps_are_refused_without_a_server_too(open_redis, server, a_run):
    state = open_redis()
    state.begin(a_run)
    state.apply([PASSED], run=1, epoch=1)
    server.kill()
    with pytest.raises(ValueError, match="cannot go from 'done'"):
        state.apply([RUNNING], run=1, epoch=1)


def test_what_was_told_already_is_not_told_twice(open_redis, server, a_run):
    """The process died between telling the server and forgetting: the batch bears its mark."""
    state = open_redis()
    state.begin(a_run)
    journal = Journal(server.folder.parent / "state")
    batches = [Batch(epoch=1, changes=(Noted(kind=kind),)) for kind in ("one", "two", "three")]
    for batch in batches[:2]:
        state._apply(batch, 1)
    with journal.held():
        for batch in batches:
            journal.append(1, batch)
    assert kinds(open_redis()) == ["run_created", "one", "two", "three"]


def test_a_stale_journal_is_kept_aside(open_redis, server, a_run):
    """A runner whose run was taken over meanwhile changes nothing, and what it did is not lost."""
    state = open_redis()
    state.begin(a_run)
    server.kill()
    state.apply([PASSED], run=1, epoch=1)
    folder = server.folder.parent / "state" / "redis-journal"
    hidden = (folder / "1.jsonl").rename(folder / "hidden")
    server.start()
    assert open_redis().take_over(1) == 2
    hidden.rename(folder / "1.jsonl")
    assert open_redis().load(1).run.verdict is None
    assert [path.name.partition("-")[0] for path in folder.iterdir() if path.name != "lock"] == ["1.refused"]
    with pytest.raises(StaleRunner):
        open_redis().apply([PASSED], run=1, epoch=1)


def test_a_torn_line_was_never_acknowledged(open_redis, server, a_run):
    state = open_redis()
    state.begin(a_run)
    journal = Journal(server.folder.parent / "state")
    with journal.held():
        journal.append(1, Batch(epoch=1, changes=(Noted(kind="whole"),)))
    with (server.folder.parent / "state" / "redis-journal" / "1.jsonl").open("ab") as file:
        file.write(b'{"id": "x", "epoch": 1, "chan')
    assert kinds(open_redis()) == ["run_created", "whole"]


def test_a_damaged_journal_blocks_nothing(open_redis, server, a_run):
    """It is kept for people to look at; the run is closed by whoever finds its lock free."""
    state = open_redis()
    state.begin(a_run)
    folder = server.folder.parent / "state" / "redis-journal"
    folder.mkdir(exist_ok=True)
    (folder / "1.jsonl").write_text("rubbish\n")
    assert kinds(open_redis()) == ["run_created"]
    assert [path.name.partition("-")[0] for path in folder.iterdir() if path.name != "lock"] == ["1.refused"]


def test_a_frozen_server_is_told_and_comes_back(open_redis, server, a_run):
    """The run's own process waits once, then goes on without it."""
    state = open_redis()
    state.begin(a_run)
    server.freeze()
    state.apply([RUNNING], run=1, epoch=1)
    state.apply([PASSED], run=1, epoch=1)
    server.thaw()
    assert open_redis().load(1).run.verdict is Verdict.PASSED
    assert kinds(open_redis()) == ["run_created", "run_started", "run_finished"]


def test_a_short_pause_is_waited_for(open_redis, server, a_run):
    """CLIENT PAUSE, as at a failover, holds a command back for less than our patience."""
    state = open_redis()
    state.begin(a_run)
    server.say("CLIENT", "PAUSE", "300")
    assert state.begin(a_run).number == 2


@pytest.mark.parametrize("word", ["EVALSHA", "HGETALL"])
def test_an_answer_that_is_lost_counts_once(open_redis, server, a_run, word):
    """The connection breaks after the server has answered: asked again, it knows the commit."""
    proxy = CutProxy(server.port)
    try:
        state = open_redis(port=proxy.port)
        state.begin(a_run)
        proxy.cut_after(word)
        assert state.begin(a_run).number == 2
        assert proxy.cuts == 1
        assert [run.number for run in open_redis().runs(RunFilter())] == [2, 1]
    finally:
        proxy.close()


def test_an_emptied_server_is_never_an_empty_history(open_redis, server, a_run):
    """Neither one that is asked for the first time, nor one that was emptied between two questions."""
    state = open_redis()
    state.begin(a_run)
    server.empty()
    for asked in (state, open_redis()):
        with pytest.raises(Amnesia, match="no longer holds the history"):
            asked.runs(RunFilter())
        with pytest.raises(Amnesia):
            asked.begin(a_run)
        with pytest.raises(Amnesia):
            asked.queue.is_idle()
    # A run that goes on is not stopped by it.
    state.apply([PASSED], run=1, epoch=1)
    assert state.load(1).run.verdict is Verdict.PASSED


def test_a_new_history_is_begun_on_demand_only(open_redis, server, a_run, tmp_path):
    """Its numbers go on after those whose logs are still there."""
    open_redis().begin(a_run)
    (tmp_path / "state" / "logs" / "41").mkdir(parents=True)
    server.empty()
    with pytest.raises(Amnesia) as caught:
        open_redis().runs(RunFilter())
    mark = tmp_path / "state" / "redis.json"
    assert f"delete '{mark}'" in caught.value.hint
    mark.unlink()
    assert open_redis().runs(RunFilter()) == []
    assert open_redis().begin(a_run).number == 42


def test_numbers_are_not_given_again_by_a_server_that_lost_some(open_redis, server, a_run, tmp_path):
    """It comes back without its last second: the logs and the runner of the lost run keep their number."""
    open_redis().begin(a_run)
    server.kill()
    kept = shutil.copytree(server.folder, tmp_path / "kept")
    server.start()
    assert open_redis().begin(a_run).number == 2
    server.kill()
    shutil.rmtree(server.folder)
    kept.rename(server.folder)
    server.start()
    assert [run.number for run in open_redis().runs(RunFilter())] == [1]
    assert open_redis().begin(a_run).number == 3


def test_another_folder_with_the_same_name_is_refused(open_redis, server, a_run, tmp_path):
    """Two hosts with the same path would end each other's runs: one of them is told."""
    open_redis().begin(a_run)
    mark = tmp_path / "state" / "redis.json"
    mark.rename(tmp_path / "theirs")
    with pytest.raises(StoreError, match="holds the history of another folder"):
        open_redis().runs(RunFilter())
    assert not mark.exists()
    mark.write_bytes((tmp_path / "theirs").read_bytes())
    assert len(open_redis().runs(RunFilter())) == 1


def test_a_first_use_that_was_cut_short_is_finished(open_redis, server, a_run, tmp_path):
    """Killed after it wrote its own half of the mark: the server holds nothing yet, and nothing is lost."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "redis.json").write_text('{"id": "1234", "host": "h", "folder": "f", "confirmed": false}')
    assert open_redis().begin(a_run).number == 1
    assert open_redis().begin(a_run).number == 2


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [("maxmemory-policy", "allkeys-lru", "maxmemory-policy is allkeys-lru"), ("appendonly", "no", "appendonly is off")],
)
def test_a_forgetful_server_is_refused_unless_told_otherwise(open_redis, server, a_run, setting, value, words):
    server.say("CONFIG", "SET", setting, value)
    with pytest.raises(StoreError, match=words) as caught:
        open_redis().runs(RunFilter())
    assert "start_check = false" in caught.value.hint
    assert open_redis(start_check=False).begin(a_run).number == 1


def test_a_full_server_changes_nothing(open_redis, server, a_run):
    """Out of memory, a transaction is refused as a whole."""
    state = open_redis()
    state.begin(a_run)
    server.say("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(StoreError, match="is full") as caught:
        state.begin(a_run)
    assert caught.value.hint == "raise its maxmemory"
    assert [run.number for run in state.runs(RunFilter())] == [1]
    server.say("CONFIG", "SET", "maxmemory", "0")
    assert state.begin(a_run).number == 2


def test_a_wrong_password_is_said(open_redis, server):
    server.say("CONFIG", "SET", "requirepass", "s3cret")
    with pytest.raises(StoreError, match="refuses us") as caught:
        open_redis(password="wr0ng").runs(RunFilter())
    assert "wr0ng" not in str(caught.value)
    assert open_redis(password="s3cret").runs(RunFilter()) == []
