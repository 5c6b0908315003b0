"""Requests made from openapi.json by schemathesis: no answer but those that it promises, whatever is asked."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cicdctl.server.api.contract import FILE

from .conftest import operator_file
from .test_api_reading import TRUSTED

CONFIG = """
[pipelines.build.params]
level = { default = "quick", choices = ["quick", "full"] }
[pipelines.build.stages]
unit = { run = "echo hi > out", artifacts = ["out"] }
[pipelines.deploy]
environment = "production"
[pipelines.deploy.stages]
ship = "true"
"""
# What only the state decides: params of a pipeline, a revision, an Idempotency-Key that was used for something else, how
# long a log is. And we are stricter than JSON Schema, to which 1.0 is an integer.
EXPECTATIONS = """
[[operations]]
include-name-regex = "GET /api/(artifacts/.*|.*/log/raw)"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 404, 416]
[[operations]]
include-name = "POST /api/environments/{name}/rollback"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 404, 409]
[[operations]]
include-name = "POST /trigger/{pipeline}"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 404, 409, 422]
"""
ENDLESS = "/api/events"


@pytest.fixture
def server(make_project, serve):
    project = make_project(CONFIG)
    operator_file(project, TRUSTED)
    server = serve(project)
    server.run(wait="end")
    server.run("deploy", wait="end")
    return server


def attack(server, folder: Path, *options: str, exclude: tuple[str, ...] = (), timeout_s: float = 110.0) -> None:
    """Run schemathesis; what it finds fails the test with the request that shows it."""
    config = folder / "schemathesis.toml"
    config.write_text(EXPECTATIONS)
    left_out = [part for path in (ENDLESS, *exclude) for part in ("--exclude-path", path)]
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", str(FILE)]
        + ["--url", server.url, "-H", f"Authorization: Bearer {server.token('admin', name='all')}"]
        + ["--checks", "all", "--request-timeout", "30", "--no-color", "--suppress-health-check", "all"]
        + [*left_out, *options],
        cwd=folder,
        env=server.project.env | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    made = re.search(r"(\d+) generated", done.stdout)
    assert made and int(made[1]) > 300, done.stdout[-2000:]
    assert server.ask("GET", "/healthz").status == 200


def test_answers_are_those_that_are_promised(server, tmp_path):
    """Examples and borders of every parameter and body, right and wrong; nothing is started meanwhile."""
    server.ask("POST", "/api/pause", token=server.token("admin"))
    attack(server, tmp_path, "--phases", "coverage", "--seed", "1", exclude=("/api/unpause", "/api/drain"))


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_answers_are_those_that_are_promised_at_length(server, tmp_path):
    """Every phase, a hundred requests to each operation, sequences of them among these."""
    attack(server, tmp_path, "--max-examples", "100", timeout_s=580.0)
