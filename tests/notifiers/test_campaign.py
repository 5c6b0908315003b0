"""kill -9 of runs and senders at random moments: every run that ended is told, at least once, of none a lie."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter

import pytest

from cicdctl.store.locks import holder_pid
from tests.notifiers.conftest import wait_empty
from tests.notifiers.test_sending import section

RUNS = 150


@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_random_kills_lose_no_notice(make_project, operate, sink):
    random.seed(20_260_101)

    def answer(_: object) -> tuple[int, dict[str, str], bytes]:
        time.sleep(random.uniform(0.0, 0.3))  # so that kills meet notices on their way
        return 200, {}, b""

    sink.answer = answer
    killed = 0
    operate(section(sink, more='on = ["passed", "failed"]'))
    project = make_project(unit="sleep 0.0$(($(date +%N) % 9)); test $(($(date +%N) / 1000 % 2)) = 0")
    lock = project.path / ".git/cicdctl/locks/notify.lock"
    for _ in range(RUNS):
        run = project.start("run", "build", "--no-cache")
        if random.random() < 0.5:
            time.sleep(random.uniform(0.05, 0.6))
            os.kill(run.pid, signal.SIGKILL)
        run.communicate()
        if random.random() < 0.5:
            time.sleep(random.uniform(0.0, 0.4))
            pid = holder_pid(lock) if lock.exists() else None
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                killed += 1
    project.cicdctl("status").passes()
    wait_empty(project)
    ended = ended_runs(project)
    told = {request.json["data"]["run"]: request.json["data"]["verdict"] for request in sink.requests}
    assert told == ended
    ids = Counter(request.headers["webhook-id"] for request in sink.requests)
    assert len(ids) == len(ended)
    print(
        f"{len(ended)} of {RUNS} runs ended, {killed} senders killed, {sum(ids.values()) - len(ids)} notices came twice"
    )


def ended_runs(project) -> dict[int, str]:
    """Return the runs that passed or failed."""
    runs = json.loads(project.cicdctl("history", "--limit", "1000", "--json").passes().stdout)["runs"]
    return {run["number"]: run["verdict"] for run in runs if run["verdict"] in ("passed", "failed")}
