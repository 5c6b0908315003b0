"""`POST /trigger/{pipeline}`: what may be asked for, how often it is carried out, and how far it is trusted."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from cicdctl.store import open_state

from .conftest import operator_file, wait_for

CONFIG = """
[pipelines.build.params]
level = { default = "quick", choices = ["quick", "full"] }
[pipelines.build.stages]
unit = "echo level $PARAM_LEVEL"
"""


@pytest.fixture
def server(make_project, serve):
    project = make_project(CONFIG)
    operator_file(project, '[orchestrator.trust]\nrefs = ["main"]\n')
    return serve(project)


def test_waits_as_long_as_it_is_asked_to(server):
    """Queued, started or ended; `Location` names the run each time."""
    token = server.token("trigger")
    for wait, states in (("none", ("queued", "starting")), ("start", ("starting", "running", "finishing", "done"))):
        answer = server.ask("POST", "/trigger/build", token=token, json_body={"wait": wait})
        assert answer.json["run"]["state"] in states
        assert answer.headers["location"] == f"/api/runs/{answer.json['run']['number']}"
        server.wait_for_run(answer.json["run"]["number"])
    ended = server.ask("POST", "/trigger/build", token=token, json_body={"wait": "end", "params": {"level": "full"}})
    assert (ended.json["run"]["verdict"], ended.json["run"]["params"]) == ("passed", {"level": "full"})
    assert [stage["stage"] for stage in ended.json["stages"]] == ["unit"]


def test_whoever_was_put_out_meanwhile_is_told_of_no_run(make_project, serve, tmp_path):
    """The run goes on: it was asked for when that was allowed."""
    project = make_project(unit=f"until test -e {tmp_path}/go; do sleep 0.05; done")
    operator_file(project, '[orchestrator.trust]\nrefs = ["*"]\n')
    server = serve(project)
    token = server.token("trigger", name="gone")
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(server.ask, "POST", "/trigger/build", token=token, json_body={"wait": "end"})
        wait_for(lambda: server.ask("GET", "/api/runs").json["runs"])
        server.project.cicdctl("token", "revoke", "gone").passes()
        (tmp_path / "go").touch()
        answer = waiting.result()
    assert (answer.json["run"], answer.json["stages"]) == (None, [])
    assert server.wait_for_run(1)["run"]["verdict"] == "passed"


def test_what_cannot_be_carried_out_starts_nothing(server):
    """Each refusal says what is wrong with it."""
    token = server.token("trigger")

    def ask(body, pipeline: str = "build", **more):
        return server.ask("POST", f"/trigger/{pipeline}", token=token, json_body=body, **more)

    ask({"rev": "nowhere"}).is_refused(422, "git")
    ask({"rev": "--upload-pack=x"}).is_refused(422, "usage")
    ask({"rev": ""}).is_refused(422, "usage")
    ask({"rev": "a\nb"}).is_refused(422, "usage")
    assert ask({"params": {"level": "some"}}).status == 422
    assert ask({"params": {"lvl": "full"}}).status == 422
    unknown = ask({}, "biuld")
    assert unknown.status == 422 and "build" in unknown.text
    ask({"revision": "main"}).is_refused(400, "body")
    ask({"params": {"level": 3}}).is_refused(400, "body")
    ask({"wait": "for ever"}).is_refused(400, "body")
    ask([]).is_refused(400, "body")
    server.ask("POST", "/trigger/build?rev=main", token=token).is_refused(400, "query")
    for body in (b"{", b"[" * 60_000, b'{"rev": ' + b"9" * 6000 + b"}", b"\xff", b"nul"):
        server.ask("POST", "/trigger/build", token=token, body=body).is_refused(400, "body")
    server.ask("POST", "/trigger/build", token=token, body=b" " * 65_537).is_refused(413, "too_large")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    server.ask("POST", "/trigger/build", token=token, body=b"rev=main", headers=form).is_refused(415, "content_type")
    assert server.ask("GET", "/api/runs").json["runs"] == []


def test_key_is_carried_out_once(server, serve):
    """By several at once, after a restart, and with another body, which is refused; each token has keys of its own."""
    token = server.token("trigger")
    key = {"Idempotency-Key": "5c1f"}

    def ask(body=None, **more):
        return server.ask("POST", "/trigger/build", json_body=body, headers=key, **({"token": token} | more))

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: ask(), range(6)))
    assert {(answer.status, answer.json["run"]["number"]) for answer in answers} == {(202, 1)}
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    ask({"params": {"level": "full"}}).is_refused(422, "key_reused")
    assert ask(token=server.token("trigger", name="other")).json["run"]["number"] == 2
    server.wait_for_run(2)

    again = serve(server.project) if server.stop() is not None else server
    repeated = again.ask("POST", "/trigger/build", token=token, headers=key)
    assert (repeated.json["run"]["number"], repeated.headers["idempotent-replayed"]) == (1, "true")
    assert repeated.json["run"]["verdict"] == "passed"
    # The run is forgotten, and still not started a second time.
    with open_state(server.project.path / ".git" / "cicdctl") as state:
        assert state.prune(0) == [1]
    again.ask("POST", "/trigger/build", token=token, headers=key).is_refused(410, "gone")
    assert [run["number"] for run in again.ask("GET", "/api/runs").json["runs"]] == [2]
    for wrong in ("", "a b", "é", "x" * 256):
        bad = {"Idempotency-Key": wrong.encode().decode("latin-1")}
        again.ask("POST", "/trigger/build", token=token, headers=bad).is_refused(400, "key")


def test_lost_answer_is_asked_for_again(server):
    """A server that dies after the run is durable: the same key finds it, whoever serves then."""
    token = server.token("trigger")
    key = {"Idempotency-Key": "once"}
    first = server.ask("POST", "/trigger/build", token=token, headers=key).json["run"]["number"]
    server.process.send_signal(signal.SIGKILL)
    server.process.communicate(timeout=20)
    process = server.project.start("serve", "--port", str(server.port))
    try:
        assert "http" in process.stdout.readline()
        assert server.ask("POST", "/trigger/build", token=token, headers=key).json["run"]["number"] == first
        assert len(server.ask("GET", "/api/runs").json["runs"]) == 1
        server.wait_for_run(first)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        server.process.returncode = 0


def test_trust_is_that_of_the_ref(server):
    """Whoever holds the token: only a branch that the operator vouches for is trusted, never an object id."""
    project = server.project
    main = project.git("rev-parse", "HEAD")
    project.git("tag", "v1")
    project.git("checkout", "-qb", "topic")
    topic = project.commit("topic")
    # A branch whose name is the id of a commit on main: the id is meant, and is nobody's.
    project.git("update-ref", f"refs/heads/{main}", topic)
    token = server.token("admin")
    found = {}
    for rev in ("main", "refs/heads/main", "topic", "v1", main, "main~0", f"refs/heads/{main}", "HEAD"):
        run = server.ask("POST", "/trigger/build", token=token, json_body={"rev": rev}).json["run"]
        found[rev] = (run["ref"], run["trust"], run["commit"])
    assert found == {
        "main": ("refs/heads/main", "trusted", main),
        "refs/heads/main": ("refs/heads/main", "trusted", main),
        "topic": ("refs/heads/topic", "untrusted", topic),
        "v1": ("refs/tags/v1", "untrusted", main),
        main: (None, "untrusted", main),
        "main~0": (None, "untrusted", main),
        f"refs/heads/{main}": (f"refs/heads/{main}", "untrusted", topic),
        "HEAD": ("refs/heads/topic", "untrusted", topic),
    }
    for number in range(1, len(found) + 1):
        ended = server.wait_for_run(number)
        assert ended["run"]["verdict"] == "passed", ended["stages"]
    # A repetition is not more trusted than what it repeats.
    again = server.ask("POST", "/api/runs/3/rerun", token=token).json["run"]
    assert (again["ref"], again["trust"]) == ("refs/heads/topic", "untrusted")
    server.wait_for_run(again["number"])
