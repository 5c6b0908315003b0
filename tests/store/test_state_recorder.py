"""The recorder keeps order, says when all is durable, and stops at the first failure."""

from __future__ import annotations

import threading

import pytest

from cicdctl.errors import StoreError
from cicdctl.model import RunState
from cicdctl.store import Noted, Recorder, RunChanged, StaleRunner, open_state


def kinds(state):
    return [event.kind for event in state.events(limit=10_000)][1:]


def test_what_is_flushed_is_there_in_order(state, a_run):
    state.begin(a_run())
    with Recorder(state, run=1, epoch=1) as recorder:
        recorder.flush()
        for index in range(200):
            recorder.put(Noted(kind=f"n{index}"))
        recorder.flush()
        assert kinds(state) == [f"n{index}" for index in range(200)]
        recorder.put()
        recorder.put(Noted(kind="last"))
    assert kinds(state)[-1] == "last"


def test_threads_put_whole_groups(state, a_run):
    state.begin(a_run())
    with Recorder(state, run=1, epoch=1) as recorder:

        def put(name):
            for _ in range(20):
                recorder.put(Noted(kind=name), Noted(kind=name))
            recorder.flush()

        threads = [threading.Thread(target=put, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    seen = kinds(state)
    assert sorted(seen) == sorted("abc" * 40)
    assert all(first == second for first, second in zip(seen[::2], seen[1::2], strict=True))


def test_first_failure_sticks_and_nothing_later_is_recorded(state, a_run):
    state.begin(a_run())
    recorder = Recorder(state, run=1, epoch=1)
    recorder.put(Noted(kind="good"))
    recorder.flush()
    recorder.put(RunChanged(state=RunState.QUEUED))
    for _ in range(2):
        with pytest.raises(StoreError, match="cannot go from 'starting' to 'queued'"):
            recorder.flush()
    with pytest.raises(StoreError, match="cannot go from"):
        recorder.put(Noted(kind="later"))
    recorder.close()
    assert kinds(state) == ["good"]


def test_stale_runner_learns_it(state, a_run):
    state.begin(a_run())
    state.take_over(1)
    with Recorder(state, run=1, epoch=1) as recorder:
        recorder.put(Noted(kind="late"))
        with pytest.raises(StaleRunner):
            recorder.flush()
    assert kinds(state) == ["run_taken_over"]


def test_closed_recorder_takes_nothing_more(state, a_run):
    state.begin(a_run())
    recorder = Recorder(state, run=1, epoch=1)
    recorder.put(Noted(kind="one"))
    recorder.close()
    recorder.close()
    assert kinds(state) == ["one"]
    with pytest.raises(StoreError, match="closed"):
        recorder.put(Noted(kind="two"))


def test_closed_state_is_a_failure_that_is_told(state_folder, a_run):
    state = open_state(state_folder)
    state.begin(a_run())
    state.close()
    with Recorder(state, run=1, epoch=1) as recorder:
        recorder.put(Noted(kind="one"))
        with pytest.raises(StoreError, match="already closed"):
            recorder.flush()
