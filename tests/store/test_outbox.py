"""News in the transaction that ends a run, and the letters it becomes."""

from __future__ import annotations

import pytest

from cicdctl.kinds import Notice
from cicdctl.model import RunState, Verdict
from cicdctl.store import Letter, Noted, RunChanged

DONE = RunState.DONE


@pytest.fixture
def telling(state):
    state.tells = True
    return state


@pytest.fixture
def a_run(a_run):
    """Make a run that waits, whatever is not named."""
    return lambda **fields: a_run(**{"state": RunState.QUEUED, **fields})


def letter(notifier="team", topic="", event="broken", **fields) -> Letter:
    return Letter(notifier=notifier, topic=topic, notice=Notice(event=event, title="t"), **fields)


def end(state, run, verdict):
    state.apply([RunChanged(state=DONE, verdict=verdict)], run=run.number, epoch=1)


def test_news_is_written_with_the_end_of_a_run(telling, a_run):
    """Start and end make news, in the same transaction: a change that fails leaves neither."""
    run = telling.begin(a_run(state=RunState.QUEUED, ref="refs/heads/main"))
    assert telling.outbox.news() == []
    telling.apply([RunChanged(state=RunState.STARTING)], run=run.number, epoch=1)
    telling.apply([RunChanged(state=RunState.RUNNING)], run=run.number, epoch=1)
    with pytest.raises(ValueError):
        telling.apply(
            [RunChanged(state=DONE, verdict=Verdict.PASSED), RunChanged(state=DONE, verdict=Verdict.PASSED)],
            run=run.number,
            epoch=1,
        )
    assert [news.event for news in telling.outbox.news()] == ["started"]
    end(telling, run, Verdict.PASSED)
    telling.apply([Noted(kind="x")], run=run.number, epoch=1)
    assert [(news.run, news.event) for news in telling.outbox.news()] == [(1, "started"), (1, "ended")]


def test_no_news_where_nobody_is_told(state, a_run):
    """Without notifiers nothing is written."""
    end(state, state.begin(a_run()), Verdict.FAILED)
    assert state.outbox.news() == []
    assert state.outbox.next_due_at() is None


def test_previous_is_of_the_same_pipeline_and_ref(telling, a_run):
    """Cancelled runs, other branches, other pipelines, snapshots and later runs are passed over."""
    main = {"ref": "refs/heads/main"}
    history = [
        (main, Verdict.FAILED),
        (main, Verdict.CANCELLED),
        (main | {"snapshot": True}, Verdict.PASSED),
        ({"ref": "refs/heads/other"}, Verdict.PASSED),
        (main | {"pipeline": "test"}, Verdict.PASSED),
        (main | {"options": {"only": ["lint"]}}, Verdict.PASSED),
        (main | {"params": {"type": "unit"}}, Verdict.PASSED),
        ({}, Verdict.PASSED),
    ]
    for fields, verdict in history:
        end(telling, telling.begin(a_run(**fields)), verdict)
    run, later = telling.begin(a_run(**main)), telling.begin(a_run(**main))
    end(telling, later, Verdict.PASSED)
    end(telling, run, Verdict.PASSED)
    ends = {news.run: news.previous for news in telling.outbox.news()}
    assert ends[run.number] is Verdict.FAILED
    assert ends[4] is ends[7] is ends[8] is None and 6 not in ends


def test_a_run_that_ends_as_it_is_recorded_makes_news(telling, a_run):
    """A skipped run is begun and ended at once."""
    telling.begin(a_run(state=DONE, verdict=Verdict.SKIPPED))
    assert [news.event for news in telling.outbox.news()] == ["ended"]


def test_news_becomes_letters_once(telling, a_run):
    """Of two senders with the same news only one puts letters there."""
    end(telling, telling.begin(a_run()), Verdict.FAILED)
    (news,) = telling.outbox.news()
    for _ in range(2):
        telling.outbox.spread(news, [letter(), letter("mail")])
    assert [one.notifier for one in telling.outbox.letters()] == ["team", "mail"]
    assert telling.outbox.news() == []


def test_newest_letter_of_a_topic_stays(telling):
    """A late "pending" never covers the result; messages without a topic are all kept."""
    for event in ("started", "broken"):
        telling.outbox.add(letter("forge", "c1 build", event))
        telling.outbox.add(letter("team", "", event))
    telling.outbox.add(letter("forge", "c2 build", "started"))
    kept = [(one.notifier, one.topic, one.notice.event) for one in telling.outbox.letters()]
    assert kept == [
        ("team", "", "started"),
        ("forge", "c1 build", "broken"),
        ("team", "", "broken"),
        ("forge", "c2 build", "started"),
    ]


def test_tries_are_counted_and_given_up(telling):
    """A letter waits for its time, is given up when there is no next one, and can be tried anew."""
    telling.outbox.add(letter(due_at=100.0))
    (one,) = telling.outbox.due(now=100.0)
    telling.outbox.postpone(one, "no answer \udc80", 200.0)
    assert telling.outbox.due(now=199.0) == []
    (one,) = telling.outbox.due(now=200.0)
    assert (one.tries, one.error) == (1, "no answer ?")
    telling.outbox.postpone(one, "still none", None)
    assert telling.outbox.due(now=10_000.0) == [] and telling.outbox.next_due_at() is None
    (one,) = telling.outbox.letters()
    assert one.tries == 2 and one.failed_at is not None
    assert telling.outbox.try_again() == 1
    assert telling.outbox.next_due_at() is not None
    telling.outbox.remove(one)
    assert telling.outbox.letters() == []


def test_a_clock_set_back_does_not_hold_letters(telling):
    """No letter is due later than an hour from now, whatever the clock was."""
    telling.outbox.add(letter(due_at=5_000_000_000.0))
    assert telling.outbox.next_due_at() == 0.0
    assert len(telling.outbox.due(now=1_000.0)) == 1


def test_only_the_newest_run_of_a_commit_states_its_verdict(telling, a_run):
    old, new = telling.begin(a_run(state=RunState.QUEUED)), telling.begin(a_run(state=RunState.QUEUED))
    assert not telling.outbox.is_outdated(old)
    telling.apply([RunChanged(state=RunState.STARTING)], run=new.number, epoch=1)
    assert telling.outbox.is_outdated(old) and not telling.outbox.is_outdated(new)


def test_own_events_are_told_too(telling, a_run):
    run = telling.begin(a_run())
    telling.tell(run, "approval_needed", "deploy waits for somebody")
    (news,) = telling.outbox.news()
    assert (news.event, news.text) == ("approval_needed", "deploy waits for somebody")
