"""What the API shows is what the command line shows, page by page and filter by filter."""

from __future__ import annotations

import json

import pytest

from cicdctl.model import Run, RunState, TriggerKind, Verdict
from cicdctl.store import open_state

from .conftest import operator_file, wait_for

TRUSTED = '[orchestrator.trust]\nrefs = ["*"]\n'


def remember(project, **fields) -> int:
    """Write a run into the history that nobody ever executed."""
    given = {
        "number": 0,
        "pipeline": "build",
        "commit": "c" * 40,
        "tree": "d" * 40,
        "trigger": TriggerKind.MANUAL,
        "state": RunState.DONE,
        "verdict": Verdict.PASSED,
        "created_at": 1_700_000_000.0,
    }
    with open_state(project.path / ".git" / "cicdctl") as state:
        return state.begin(Run(**{**given, **fields})).number


@pytest.fixture
def server(make_project, serve):
    """One with 23 runs in its history."""
    project = make_project(unit="true")
    operator_file(project, "")
    for number in range(1, 24):
        fields = {
            "pipeline": "deploy" if number % 5 == 0 else "build",
            "ref": "refs/tags/v1" if number % 7 == 0 else "refs/heads/topic" if number % 2 else "refs/heads/main",
            "verdict": Verdict.FAILED if number % 3 == 0 else Verdict.PASSED,
            "trigger": TriggerKind.FIX if number == 11 else TriggerKind.MANUAL,
            "commit": ("a" if number == 4 else "c") * 40,
        }
        assert remember(project, **fields) == number
    return serve(project)


def listed(server, query: str = "") -> list[int]:
    return [run["number"] for run in server.ask("GET", f"/api/runs{query}").json["runs"]]


def test_pages_follow_each_other_without_a_gap(server):
    """Each page names the next, with the filters it has itself; the last names none."""
    whole = [number for number in range(23, 0, -1) if number != 11]
    assert listed(server, "?limit=200") == whole
    assert listed(server) == whole[:20]
    found, page = [], "/api/runs?limit=4&pipeline=build"
    while page:
        answer = server.ask("GET", page).json
        assert len(answer["runs"]) <= 4
        found += [run["number"] for run in answer["runs"]]
        page = answer["next"]
    assert found == [number for number in whole if number % 5]


def test_filters_choose_runs(server):
    """Alone and together; a run that tries a fix is only listed when it is asked for."""
    assert listed(server, "?pipeline=deploy") == [20, 15, 10, 5]
    assert listed(server, "?pipeline=deploy&verdict=failed") == [15]
    assert listed(server, "?ref=refs/tags/v1") == [21, 14, 7]
    assert listed(server, "?ref=main&limit=3") == [22, 20, 18]
    assert listed(server, "?commit=" + "a" * 40) == [4]
    assert listed(server, "?fixes=true&before=13&limit=2") == [12, 11]
    assert listed(server, "?fixes=false&before=13&limit=2") == [12, 10]
    assert listed(server, "?active=true") == []
    assert listed(server, "?active=false&limit=2") == [23, 22]
    assert listed(server, "?pipeline=none") == []
    assert listed(server, "?before=0") == []


def test_filters_that_make_no_sense_are_refused(server):
    """Never an answer to another question; an unknown name gets the near one."""
    odd = ("limit=0", "limit=201", "limit=x", "limit=1&limit=2", "limt=1", "verdict=green", "active=1", "commit=abc")
    for query in (*odd, "before=-1", "before=" + "9" * 30, "fixes=", "limit=%D9%A1"):
        server.ask("GET", f"/api/runs?{query}").is_refused(400, "query")
    assert 'did you mean "limit"' in server.ask("GET", "/api/runs?limt=1").json["error"]["message"]


def test_run_is_what_show_prints(make_project, serve, tmp_path):
    """Every field: a failed run with tests and artifacts, one that goes on, one that deployed, one that is not there."""
    config = f"""
[pipelines.build.stages]
lint = "true"
unit = {{ run = "mkdir out; echo hi > out/a.txt; echo bad; exit 3", artifacts = ["out/**"] }}
[pipelines.slow.stages]
wait = "echo begun; until test -e {tmp_path}/go; do sleep 0.05; done"
[pipelines.deploy]
environment = "production"
[pipelines.deploy.stages]
ship = {{ run = "echo shipped > note", artifacts = ["note"] }}
"""
    project = make_project(config)
    operator_file(project, TRUSTED)
    server = serve(project)

    def show(number: int):
        told = json.loads(project.cicdctl("show", str(number), "--json").passes().stdout)
        return {name: value for name, value in told.items() if name not in ("version", "kind")}

    number = server.run(wait="end")
    shown = server.ask("GET", f"/api/runs/{number}").json
    assert shown == show(number)
    assert [(stage["stage"], stage["verdict"], stage["exit_code"]) for stage in shown["stages"]] == [
        ("lint", "passed", 0),
        ("unit", "failed", 3),
    ]
    assert (shown["run"]["message"].strip(), shown["run"]["author"][:3]) == ("first", "Ada")
    assert shown["run"]["stage_names"] == ["lint", "unit"]

    number = server.run("slow", wait="start")
    wait_for(lambda: server.ask("GET", f"/api/runs/{number}").json["running"])
    running = server.ask("GET", f"/api/runs/{number}").json["running"]
    assert [(one["stage"], one["attempt"]) for one in running] == [("wait", 1)]
    assert [run["number"] for run in server.ask("GET", "/api/queue").json["running"]] == [number]
    assert listed(server, "?active=true") == [number]
    (tmp_path / "go").touch()
    assert server.wait_for_run(number)["running"] == []

    number = server.run("deploy", wait="end")
    assert server.ask("GET", f"/api/runs/{number}").json == show(number)
    deployed = server.ask("GET", f"/api/runs/{number}").json["deployment"]
    found = server.ask("GET", "/api/environments").json
    assert (found["environments"], found["names"]) == ([deployed], ["production"])
    assert server.ask("GET", "/api/environments/production").json["deployments"] == [deployed]
    server.ask("GET", "/api/environments/prodution").is_refused(404, "no_such_environment")
    server.ask("GET", "/api/runs/99").is_refused(404, "no_such_run")
    assert_artifacts(server, number)


def assert_artifacts(server, number: int) -> None:
    """An artifact comes as an attachment that no browser shows, by its digest and the run that left it."""
    listing = server.ask("GET", f"/api/runs/{number}/artifacts").json
    assert [(one["stage"], one["path"], one["bytes"]) for one in listing["artifacts"]] == [("ship", "note", 8)]
    address = listing["artifacts"][0]["url"]
    answer = server.ask("GET", address)
    assert (answer.status, answer.body) == (200, b"shipped\n")
    assert answer.headers["content-disposition"].startswith('attachment; filename="note"')
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert answer.headers["content-type"] == "application/octet-stream"
    part = server.ask("GET", address, headers={"Range": "bytes=4-"})
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"ped\n", "bytes 4-7/8")
    server.ask("GET", address, headers={"Range": "bytes=8-"}).is_refused(416, "range")
    head = server.ask("HEAD", address)
    assert (head.status, head.headers["content-length"], head.body) == (200, "8", b"")
    other = address.replace(f"run={number}", "run=1")
    server.ask("GET", other).is_refused(404, "no_such_artifact")
    server.ask("GET", address.partition("?")[0]).is_refused(400, "query")
    server.ask("GET", "/api/artifacts/etc?run=1").is_refused(404, "no_such_artifact")
    server.ask("GET", f"/api/artifacts/{'0' * 64}?run={number}").is_refused(404, "no_such_artifact")


def test_pipelines_are_those_declared_and_those_remembered(make_project, serve):
    """With what starts them and their newest runs; a broken file is told, and hides no history."""
    config = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.params]
level = { default = "quick", choices = ["quick", "full"] }
[pipelines.build.stages]
unit = "true"
[pipelines.ship]
trigger = "after_build"
approval = true
environment = "production"
[pipelines.ship.stages]
go = "true"
"""
    project = make_project(config)
    operator_file(project, "")
    for pipeline in ("build", "gone", "build"):
        remember(project, pipeline=pipeline)
    server = serve(project)
    found = server.ask("GET", "/api/pipelines?limit=2").json
    assert found["problem"] is None
    build, gone, ship = found["pipelines"]
    assert (build["name"], build["is_declared"], build["trigger"], build["stages"]) == (
        "build",
        True,
        "commit",
        ["unit"],
    )
    assert build["params"] == [{"name": "level", "default": "quick", "choices": ["quick", "full"]}]
    assert [run["number"] for run in build["runs"]] == [3, 1]
    assert (gone["is_declared"], [run["number"] for run in gone["runs"]]) == (False, [2])
    assert (ship["after"], ship["environment"], ship["approval"], ship["runs"]) == ("build", "production", True, [])
    assert all(
        one["runs"] == [] for one in server.ask("GET", "/api/pipelines?limit=0").json["pipelines"] if one["is_declared"]
    )
    project.write(".cicd.toml", "[pipelines.build.stages]\nunit = 3\n")
    broken = server.ask("GET", "/api/pipelines").json
    assert ".cicd.toml" in broken["problem"] and [one["name"] for one in broken["pipelines"]] == ["build", "gone"]
    assert server.ask("GET", "/api/environments").json == {"environments": [], "names": []}


def test_fix_is_shown_with_diff_and_proof(make_project, serve):
    """What a fixer offered, as `fix show` has it, and its patch."""
    config = """
[pipelines.build.stages]
tidy = "! grep -q bad src.txt || { echo 'src.txt:1: bad'; exit 1; }"
[fixers.unbad]
run = "sed -i s/bad/good/ src.txt"
paths = ["*.txt"]
"""
    project = make_project(config, files={"src.txt": "bad\n"})
    project.cicdctl("run", "build").fails(1)
    project.cicdctl("fix", "1")
    server = serve(project)
    found = server.ask("GET", "/api/fixes?run=1").json["fixes"]
    assert [one["id"] for one in found] == ["1/tidy"]
    fix = server.ask("GET", "/api/fixes/1/tidy").json["fix"]
    told = json.loads(project.cicdctl("fix", "show", "1", "--json").passes().stdout)
    assert {name: fix[name] for name in told if name not in ("version", "kind")} == {
        name: value for name, value in told.items() if name not in ("version", "kind")
    }
    assert "-bad\n+good\n" in fix["diff"]
    assert fix["evidence"] and fix["proof"]
    assert server.ask("GET", "/api/fixes?run=2").json["fixes"] == []
    server.ask("GET", "/api/fixes/1/tidy~2").is_refused(404, "no_such_fix")
    server.ask("GET", "/api/fixes?limit=101").is_refused(400, "query")
