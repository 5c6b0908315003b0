"""What machines ask."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from .conftest import wait_for

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(make_project, serve):
    return serve(make_project(unit="echo hello"))


def run_build(server) -> int:
    number = server.ask("POST", "/trigger/build", token=server.token("trigger")).json["run"]["number"]
    server.wait_for_run(number)
    return number


def test_probes_need_nothing(server):
    assert server.ask("GET", "/healthz").text == "ok\n"
    assert server.ask("GET", "/readyz").text == "ready\n"


def test_not_ready_when_the_disk_is_nearly_full(make_project, serve):
    """The floor is what the operator says; the process lives all the same."""
    server = serve(make_project('[orchestrator]\nmin_free = "900TB"\n[pipelines.build.stages]\nunit = "true"\n'))
    answer = server.ask("GET", "/readyz")
    assert (answer.status, answer.text) == (503, "the disk is nearly full: less is free than orchestrator.min_free\n")
    assert server.ask("GET", "/healthz").status == 200


def test_metrics_count_runs_and_stages(server):
    """As OpenMetrics: each family has its type, the end is marked, cached stages are told apart."""
    run_build(server)
    run_build(server)
    answer = server.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    assert 'cicdctl_runs_finished_total{verdict="passed"} 2' in answer.text
    assert 'cicdctl_runs_created_total{trigger="api"} 2' in answer.text
    assert 'cicdctl_stages_finished_total{cached="true",verdict="passed"} 1' in answer.text
    assert 'cicdctl_stages_finished_total{cached="false",verdict="passed"} 1' in answer.text
    assert "cicdctl_queue_length 0" in answer.text
    assert "cicdctl_watchers 0" in answer.text
    typed = set()
    for line in answer.text.splitlines():
        if line.startswith("# TYPE"):
            typed.add(line.split()[2])
        elif not line.startswith("#"):
            name = re.match(r'(\w+?)(?:_total)?(?:\{(?:\w+="[^"\n]*",?)+\})? -?[0-9.e+]+$', line)
            assert name and name[1] in typed, line


def test_metrics_say_how_polling_fares_and_the_page_lists_every_one(server):
    """How old what is known of git is, and each name that is served, no more and no less, in docs/server.md."""
    wait_for(lambda: 'cicdctl_poll_lag_seconds{monitor="polling"} ' in server.ask("GET", "/metrics").text)
    run_build(server)
    text = server.ask("GET", "/metrics").text
    assert 'cicdctl_poll_failures{monitor="polling"} 0' in text
    assert "# UNIT cicdctl_poll_lag_seconds seconds" in text
    table = (ROOT / "docs/server.md").read_text().partition("| `/metrics`, each with")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[1:]]
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    served = {name + "_total" * (kind == "counter") for name, kind in re.findall(r"# TYPE cicdctl_(\w+) (\w+)", text)}
    # Nobody has sent a delivery.
    assert served | {"webhook_answers_total"} == documented


def test_badge_shows_the_last_verdict(make_project, serve):
    """Green, red and unknown; a browser that has it gets 304; a branch is told from another."""
    project = make_project(
        '[pipelines."build"]\ntrigger = "manual"\n[pipelines.build.stages]\nunit = "test ! -e bad"\n'
    )
    server = serve(project)
    unknown = server.ask("GET", "/badge/build.svg")
    assert "unknown" in unknown.text
    run_build(server)
    green = server.ask("GET", "/badge/build.svg")
    assert "passed" in green.text and green.headers["content-type"] == "image/svg+xml"
    assert server.ask("GET", "/badge/build.svg", headers={"If-None-Match": green.headers["etag"]}).status == 304
    project.git("checkout", "-qb", "topic")
    project.write("bad", "")
    project.commit("bad")
    run_build(server)
    assert "failed" in server.ask("GET", "/badge/build.svg?branch=topic").text
    assert "passed" in server.ask("GET", "/badge/build.svg?branch=main").text


@pytest.mark.parametrize("name", ["%3Cscript%3E", "a%26b", "%22onload=", "x" * 300])
def test_badge_escapes_names(server, name):
    picture = server.ask("GET", f"/badge/{name}.svg")
    root = ElementTree.fromstring(picture.text)
    assert all(part.tag.partition("}")[2] in ("svg", "title", "clipPath", "rect", "g", "text") for part in root.iter())
    assert not any(name.startswith("on") for part in root.iter() for name in part.attrib)
