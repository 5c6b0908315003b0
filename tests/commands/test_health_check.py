"""`health_check`: asked after a stage's commands have passed, in their surroundings; and `doctor` before a start."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.commands.test_run import wait_for


def stage(text: str) -> str:
    return f"[pipelines.build.stages.ship]\n{text}\n"


def ship(project, *, status: int) -> dict:
    """Run the pipeline and return what the stage came to."""
    return json.loads(project.cicdctl("run", "build", "--json").fails(status).stdout)["stages"][0]


def test_tried_until_it_is_healthy(make_project, tmp_path):
    """It gets what the stage got, and its output stands in the stage's log under a line of its own."""
    config = stage(f"""
run = "echo deployed > state; export FROM_COMMANDS=1"
env = {{ NAME = "value" }}
health_check = {{ run = '''test "$NAME$CICD_STAGE$FROM_COMMANDS" = valueship && cat state && echo x >> {tmp_path}/tries
test $(wc -l < {tmp_path}/tries) -eq 3''', retries = 5, delay = 0 }}
""")
    project = make_project(config=config)
    result = ship(project, status=0)
    assert (result["verdict"], result["unhealthy"], len(result["attempts"])) == ("passed", False, 1)
    log = project.cicdctl("logs", "1", "ship").passes().stdout.splitlines()
    assert [line for line in log if line.startswith("cicdctl:")] == [
        f"cicdctl: health check, try {number} of 6" for number in (1, 2, 3)
    ]
    assert log.count("deployed") == 3


def test_what_is_not_healthy_has_failed_and_is_not_kept(make_project):
    config = stage('run = "echo ok"\nhealth_check = { run = "exit 125", retries = 1 }\nallow_failure = true')
    project = make_project(config=config)
    for _ in range(2):
        result = ship(project, status=1)
        assert (result["verdict"], result["reason"]) == ("failed", "health check: exit status 125, 2 tries")
        assert (result["unhealthy"], result["allowed_failure"], result["cached"]) == (True, False, False)


def test_not_asked_when_the_commands_failed(make_project, tmp_path):
    for command, status in (("exit 3", 1), ("exit 125", 0)):
        project = make_project(config=stage(f'run = "{command}"\nhealth_check = "touch {tmp_path}/asked"'))
        assert not ship(project, status=status)["unhealthy"]
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize(
    ("limits", "verdict", "reason"),
    [
        ('health_check = { run = "sleep 50", timeout = "0.2s" }', "failed", "health check: no end after 0.20s"),
        (
            'timeout = "0.4s"\nhealth_check = "sleep 50"',
            "timed_out",
            "no end after 0.40s (timeout), in its health check",
        ),
        (
            'timeout = "0.4s"\nhealth_check = { run = "false", retries = 9, delay = "30s" }',
            "timed_out",
            "no end after 0.40s (timeout), in its health check",
        ),
    ],
)
def test_time_limits(make_project, limits, verdict, reason):
    result = ship(make_project(config=stage(f'run = "true"\n{limits}')), status=1)
    assert (result["verdict"], result["reason"]) == (verdict, reason)


def test_services_are_still_there(make_project):
    config = stage(r"""
run = "true"
services = { db = "python3 -m http.server --bind 127.0.0.1 $PORT" }
health_check = { run = '''python3 -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1])' http://127.0.0.1:$PORT''', retries = 50, delay = "0.1s" }
""")
    assert ship(make_project(config=config), status=0)["verdict"] == "passed"


def test_secrets_are_hidden_in_what_it_says(make_project):
    config = stage('run = "true"\nsecrets = ["TOKEN"]\nhealth_check = "echo it is $TOKEN; exit 1"')
    project = make_project(config=config)
    project.cicdctl("secrets", "set", "TOKEN", stdin="geheim-geheim").passes()
    ship(project, status=1)
    log = project.cicdctl("logs", "1", "ship").passes().stdout
    assert "it is " in log and "geheim-geheim" not in log


def test_pause_between_tries_can_be_broken_off(make_project):
    project = make_project(config=stage('run = "true"\nhealth_check = { run = "false", retries = 9, delay = "60s" }'))
    process = project.start("run", "build")
    log = project.path / ".git/cicdctl/logs/1/ship.1.log"
    wait_for(lambda: log.exists() and b"$ false" in log.read_bytes())
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert json.loads(project.cicdctl("show", "1", "--json").stdout)["stages"][0]["verdict"] == "cancelled"


# --- doctor before a start

THOROUGH = """
[pipelines.build.stages]
unit = "touch {tmp_path}/ran"
[orchestrator]
optimization = {{ thorough_health_checks = true }}
"""


def test_nothing_starts_where_doctor_finds_a_fault(make_project, tmp_path):
    project = make_project(config=THOROUGH.format(tmp_path=tmp_path))
    project.cicdctl("secrets", "set", "TOKEN", stdin="geheim-geheim").passes()
    project.cicdctl("run", "build").passes()
    (tmp_path / "ran").unlink()
    secrets = project.path / ".git/cicdctl/secrets.toml"
    project.cicdctl("pause").passes()
    project.cicdctl("trigger", "build", "--no-cache").passes()
    secrets.chmod(0o644)
    for command in (("run", "build", "--no-cache"), ("trigger", "build"), ("watch", "--once")):
        told = project.cicdctl(*command).fails(3).stderr
        assert f"error: doctor: secrets: {secrets} can be read by others\nhint: chmod 600 {secrets}\n" in told, told
    project.cicdctl("resume").passes()
    project.cicdctl("drain")  # `resume` has started it already, and it may have ended
    last = json.loads(project.cicdctl("show", "2", "--json").stdout)["run"]
    assert (last["verdict"], last["reason"]) == ("error", f"doctor: secrets: {secrets} can be read by others")
    assert not (tmp_path / "ran").exists()
