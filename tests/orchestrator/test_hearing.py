"""What forges told is served by the next look, and says how often git is asked without a hint."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from queue import SimpleQueue

import pytest

from cicdctl.config import OrchestratorSettings
from cicdctl.config.settings import MonitoringSettings
from cicdctl.kinds import Sighting
from cicdctl.orchestrator.hearing import RECONCILE_S, Hearing
from cicdctl.orchestrator.looking import Look, Looker
from cicdctl.store.deliveries import Delivery, DeliveryStore, RefHint, open_deliveries

MAIN = "refs/heads/main"
NEWS = (Sighting(ref=MAIN, old="1" * 40, new="2" * 40),)
BY_WEBHOOK = OrchestratorSettings(polling_interval_s=60.0, monitoring=MonitoringSettings(method="webhook"))


@pytest.fixture
def store(tmp_path):
    made = open_deliveries(tmp_path)
    yield made
    made.close()


def tell(store: DeliveryStore, name: str, **said: object) -> str:
    hint = RefHint(ref=MAIN, old="1" * 40, new="2" * 40)
    said = {"forge": "github", "event": "push", "hints": (hint,)} | said
    return store.accept([Delivery(id=name, **said)])[0].fate  # type: ignore[arg-type]


def test_only_what_came_before_a_look_is_done(store):
    hearing = Hearing(store)
    assert hearing.newest_waiting() is None
    assert [tell(store, "a"), tell(store, "b"), tell(store, "b")] == ["waiting", "waiting", "repeated"]
    heard = hearing.newest_waiting()
    tell(store, "c")
    hearing.take_note(Look(source="", heard=heard))
    assert [(one.delivery.id, one.state) for one in store.newest(9)] == [("c", "waiting"), ("b", "done"), ("a", "done")]
    hearing.take_note(Look(source="", heard=None))
    assert store.waiting() == 1


def test_same_id_of_another_forge_and_no_id_are_no_repetition(store):
    assert [tell(store, "a"), tell(store, "a", forge="gitea"), tell(store, ""), tell(store, "")] == ["waiting"] * 4


def test_old_ones_are_forgotten_but_never_one_that_waits(store, tmp_path):
    for name in ("old", "waits"):
        tell(store, name, ignored="ping" if name == "old" else None)
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        database.execute("UPDATE webhook SET at = at - 8 * 86400")
        database.commit()
    store.close()
    again = open_deliveries(tmp_path)
    assert tell(again, "old", ignored="ping") == "ignored"  # known no more
    assert {one.delivery.id for one in again.newest(9)} == {"old", "waits"}
    assert len(again.newest(9)) == 2
    again.close()


def test_how_often_git_is_asked(store):
    """Every 5 min while webhooks arrive; every polling interval before the first, and once one was missed."""
    hearing = Hearing(store)
    assert hearing.interval_s(BY_WEBHOOK) == 60.0
    tell(store, "issue", ignored="not a push")
    assert hearing.interval_s(BY_WEBHOOK) == 60.0
    tell(store, "ping", ignored="ping")
    assert hearing.interval_s(BY_WEBHOOK) == RECONCILE_S
    # The first look finds what came while nobody listened, and a look that a delivery asked for what it told.
    hearing.take_note(Look(source="", sightings=NEWS))
    tell(store, "a")
    hearing.take_note(Look(source="", sightings=NEWS, heard=hearing.newest_waiting()))
    assert hearing.interval_s(BY_WEBHOOK) == RECONCILE_S
    hearing.take_note(Look(source="", sightings=NEWS))
    assert hearing.interval_s(BY_WEBHOOK) == 60.0
    tell(store, "b")
    assert hearing.interval_s(BY_WEBHOOK) == RECONCILE_S
    given = MonitoringSettings(method="webhook", interval_s=900.0)
    assert hearing.interval_s(OrchestratorSettings(monitoring=given)) == 900.0
    assert hearing.interval_s(OrchestratorSettings(polling_interval_s=60.0)) == 60.0
    assert Hearing().interval_s(BY_WEBHOOK) == 60.0


def test_wishes_count_for_the_value_that_git_shows(store):
    hearing = Hearing(store)
    tell(store, "a", options=("ci.skip",))
    look = Look(source="", sightings=NEWS, heard=hearing.newest_waiting())
    assert hearing.wishes(look)[MAIN, "2" * 40].skip
    assert (MAIN, "3" * 40) not in hearing.wishes(look)
    hearing.take_note(look)
    assert hearing.wishes(look) == {}


class Counting:
    """A monitor that knows when it looked; `fails` as long as it shall."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.fails = False

    def look(self):
        self.at.append(time.monotonic())
        if self.fails:
            raise OSError("nobody there")
        return ()

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("fails", "wanted", "least_s"), [(False, 4, 0.2), (True, 2, 2.0)])
def test_however_often_it_is_woken_it_keeps_its_distance(fails, wanted, least_s):
    """A thousand deliveries a second must not become as many looks, least of all at a repository that is down."""
    monitor = Counting()
    monitor.fails = fails
    looker = Looker("polling", "", lambda: monitor, SimpleQueue(), interval_s=600.0, soonest_s=0.2)
    began = time.monotonic()
    looker.start()
    while len(monitor.at) < wanted:
        assert time.monotonic() < began + 60
        looker.look_now()
        threading.Event().wait(0.002)
    looker.end()
    looker.join(30)
    most = 1 + (time.monotonic() - began) / least_s
    assert wanted <= len(monitor.at) <= most
    assert looker.state.failures == (len(monitor.at) if fails else 0)
    assert ("nobody there" in str(looker.state.error)) is fails


def test_what_came_while_it_looked_has_it_look_again():
    """A delivery that comes in the middle of a look is served by the next, which follows at once."""
    heard: list[int | None] = []
    number = 0
    monitor = Counting()
    inbox: SimpleQueue = SimpleQueue()

    def newest() -> int | None:
        return number or None

    looker = Looker("polling", "", lambda: monitor, inbox, interval_s=600.0, soonest_s=0.01, heard=newest)
    looker.start()
    heard.append(inbox.get(timeout=10).heard)
    for number in (1, 2):  # noqa: B007 - `newest` reads it
        looker.look_now()
        heard.append(inbox.get(timeout=10).heard)
    looker.end()
    looker.join(10)
    assert heard == [None, 1, 2]
