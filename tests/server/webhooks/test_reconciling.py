"""Deliveries get lost, and servers die: every tip that stays is run once all the same."""

from __future__ import annotations

import http.client
import os
import random
import re
import shutil
import signal
import threading
from collections import Counter
from contextlib import closing

import pytest
from forge_deliveries import MAIN, NEW, OLD, ZERO, github, gitlab

from cicdctl.store.deliveries import open_deliveries

EVERY_SECOND = 'monitoring = { method = "webhook", interval = "1s",'


def deliveries(project, *, wanted: int = 10_000):
    with closing(open_deliveries(project.path / ".git/cicdctl", read_only=True)) as store:
        return store.newest(wanted)


def test_lost_deliveries_are_made_good(hooked, operator, serve, forge_of, is_watching, wait_for, runs_of):
    """A third of them is lost, of pushes, forced pushes, deletions, and tags that move."""
    chance = random.Random(7)
    server = serve(hooked(settings=operator.replace('monitoring = { method = "webhook",', EVERY_SECOND)))
    is_watching(server)
    forge, project = forge_of(server), server.project
    first, now = project.git("rev-parse", "HEAD"), {}
    tree = project.git("rev-parse", "HEAD^{tree}")
    for number in range(14):
        ref = [MAIN, "refs/heads/topic", "refs/tags/v1"][number % 3]
        old = now.get(ref, first if ref == MAIN else ZERO)
        # A commit of its own each time, on the last one or (a forced push) beside it.
        parent = old if old != ZERO and chance.random() < 0.5 else first
        new = project.git("commit-tree", "-p", parent, "-m", f"{number}", tree)
        if number in (4, 8):
            new = ZERO
            project.git("update-ref", "-d", ref)
        else:
            project.git("update-ref", ref, new)
        now[ref] = new
        if number not in (2, 3, 7, 8, 13):  # the last one is lost as well
            forge.is_heard(github(document={"ref": ref, "before": old, "after": new}))
    wanted = {(ref, oid) for ref, oid in now.items() if oid != ZERO}

    def ran() -> Counter[tuple[str, str]]:
        return Counter((run["ref"], run["commit"]) for run in runs_of(server) if run["verdict"])

    wait_for(lambda: wanted <= set(ran()), what="a run of each tip")
    wait_for(lambda: all(run["verdict"] for run in runs_of(server)), what="the end of all")
    assert set(ran().values()) == {1}, ran()
    assert len(wanted) == 3


def test_what_came_while_nobody_served_is_found(hooked, serve, is_watching, wait_for, runs_of):
    """With hourly polling and no delivery at all: the first look of a server finds it."""
    project = hooked()
    server = serve(project)
    is_watching(server)
    server.stop()
    commit = project.commit("unheard")
    again = serve(project)
    wait_for(lambda: [run for run in runs_of(again) if run["verdict"]], what="the run")
    assert [run["commit"] for run in runs_of(again)] == [commit]


def start_server(project) -> tuple[object, int]:
    process = project.start("serve", "--port", "0")
    found = re.search(r"http://\S+:(\d+)", process.stdout.readline())
    assert found
    return process, int(found[1])


def post(connection: http.client.HTTPConnection, sent) -> int:
    connection.request(
        "POST", f"/webhook/{sent.forge}", sent.body, {**sent.headers, "Content-Type": "application/json"}
    )
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_killed_between_storing_and_answering(hooked, serve, forge_of, is_watching, wait_for, runs_of):
    """The forge has no answer; the delivery counts, and sent again it is known. One run."""
    project = hooked()
    server = serve(project)
    is_watching(server)
    server.stop()
    (project.path / ".git/cicdctl/failpoints-allowed").touch()
    project.env["CICDCTL_FAILPOINT"] = "webhook-stored"
    process, port = start_server(project)
    del project.env["CICDCTL_FAILPOINT"]
    commit = project.commit("second")
    sent = github(document={"ref": MAIN, "before": OLD, "after": commit})
    with (
        pytest.raises((http.client.RemoteDisconnected, ConnectionError)),
        closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection,
    ):
        post(connection, sent)
    process.communicate(timeout=30)
    assert process.returncode == 137
    assert [one.state for one in deliveries(project)] == ["waiting"]
    again = serve(project)
    assert forge_of(again).sends(sent)[:2] == (202, {"ignored": "repeated"})
    wait_for(lambda: [one.state for one in deliveries(project)] == ["done"], what="the look")
    wait_for(lambda: [run for run in runs_of(again) if run["verdict"]], what="the run")
    assert [run["commit"] for run in runs_of(again)] == [commit]


def test_what_was_acknowledged_survives_kill(hooked, serve, wait_for):
    """kill -9 while four workers of a forge send: whatever had its 202 is there, and looked at by the next server."""
    project = hooked()
    process, port = start_server(project)
    acknowledged: list[str] = []
    enough = threading.Event()

    def work() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            for _ in range(5000):
                sent = github(document={"ref": MAIN, "before": OLD, "after": NEW})
                sent.headers["x-github-delivery"] = os.urandom(16).hex()  # type: ignore[index]
                try:
                    assert post(connection, sent) == 202
                except (OSError, http.client.HTTPException):
                    return
                acknowledged.append(sent.headers["x-github-delivery"])
                if len(acknowledged) >= 150:
                    enough.set()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    assert enough.wait(60)
    process.send_signal(signal.SIGKILL)
    for worker in workers:
        worker.join(60)
    process.communicate(timeout=30)
    assert set(acknowledged) <= {one.delivery.id for one in deliveries(project)}
    serve(project)
    wait_for(lambda: all(one.state == "done" for one in deliveries(project)), what="the look")


def test_repository_with_long_ids(hooked, serve, forge_of, is_watching, wait_for, runs_of):
    """SHA-256: the ids of deliveries have 64 digits, the zero id as well."""
    project = hooked()
    aside = project.path / ".git/cicdctl"
    kept = aside.rename(project.path.parent / "kept")
    shutil.rmtree(project.path / ".git")
    project.git("init", "-q", "-b", "main", "--object-format=sha256")
    old = project.commit("first")
    kept.rename(aside)
    server = serve(project)
    is_watching(server)
    commit = project.commit("second")
    assert len(commit) == 64
    forge = forge_of(server)
    forge.is_heard(gitlab("sha256", {"ref": MAIN, "before": old, "after": commit}))
    run = wait_for(lambda: [run for run in runs_of(server) if run["verdict"]], what="the run")[0]
    assert (run["commit"], run["verdict"]) == (commit, "passed")
    forge.is_heard(gitlab("sha256 branch", {"ref": "refs/heads/topic", "before": "0" * 64, "after": commit}))
    assert deliveries(project, wanted=1)[0].delivery.hints[0].old is None
