"""Mistakes and bad luck: each has a message, a status, and loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest


def test_broken_toml_is_told_with_its_place(make_project):
    """A file that is no TOML is told with line and column."""
    project = make_project("[pipelines.build]\nstages = {\n")
    told = project.cicdctl("run", "build").fails(2).stderr
    assert told.startswith("error: .cicd.toml:2:") or told.startswith("error: .cicd.toml:3:")


def test_every_problem_at_once(make_project):
    """All problems of a file are told in one go, each with a near word."""
    project = make_project(
        "[pipelines.build.stages.a]\nrun = 'x'\nned = []\n[pipelines.build.stages.b]\nrun='y'\ntimeuot=3\n"
    )
    told = project.cicdctl("config", "validate").fails(2).stderr
    assert 'pipelines.build.stages.a.ned: unknown key, did you mean "needs"?' in told
    assert 'did you mean "timeout"?' in told


def test_cycle_is_named(make_project):
    """Stages that need each other are named in their order."""
    project = make_project(
        "[pipelines.build.stages.a]\nrun='x'\nneeds=['b']\n[pipelines.build.stages.b]\nrun='x'\nneeds=['a']\n"
    )
    for command in (("run", "build"), ("config", "validate")):
        assert "a -> b -> a" in project.cicdctl(*command).fails(2).stderr


def test_missing_variable_is_named(make_project):
    """A variable of an operator section that is not set is an error that names it."""
    project = make_project('[pipelines.build.stages]\na="true"\n[notifiers.team]\nuses="slack"\nurl="${SLACK_URL}"\n')
    told = project.cicdctl("config", "validate").fails(2).stderr
    assert "SLACK_URL" in told


def test_commit_without_configuration(make_project):
    """A commit from before the configuration says so, and --config helps."""
    project = make_project(unit="true")
    project.git("checkout", "-q", "--orphan", "old")
    project.git("rm", "-q", "--cached", ".cicd.toml")
    project.git("commit", "-q", "--allow-empty", "-m", "old")
    told = project.cicdctl("run", "build", "HEAD").fails(3).stderr
    assert "there is no .cicd.toml in this commit" in told and "--config" in told
    project.cicdctl("--config", ".cicd.toml", "run", "build", "HEAD").passes()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_full_disk_is_told_and_loses_nothing(make_project, tmp_path):
    """On a full disk a run is refused or ends as an error; what was recorded before is still there."""
    project = make_project(unit="head -c 60000000 /dev/zero > big; true # $CI_COMMIT_SHA")
    project.cicdctl("run", "build").passes()
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(small)], check=True)
    try:
        refused = project.cicdctl("run", "build", "--no-cache", env={"XDG_CACHE_HOME": str(small)}).fails(3)
        assert "free" in refused.stderr and "cicdctl cache gc" in refused.stderr
        project.write(".git/cicdctl/config.toml", "[orchestrator]\nmin_free = 1\n")
        ended = project.cicdctl("run", "build", "--no-cache", env={"XDG_CACHE_HOME": str(small)})
        assert ended.status in (1, 3) and "Traceback" not in ended.stderr
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
    assert "#1" in project.cicdctl("history").passes().stdout


def test_damaged_state_stops_the_start_and_is_left_alone(make_project):
    """A state database that is no database is named with its path, and never repaired or removed by itself."""
    project = make_project(unit="true")
    project.cicdctl("run", "build").passes()
    state = project.path / ".git/cicdctl/state.db"
    for extra in ("state.db-wal", "state.db-shm"):
        state.with_name(extra).unlink(missing_ok=True)
    state.write_bytes(b"this is no database" * 500)
    told = project.cicdctl("run", "build").fails(3).stderr
    assert str(state) in told
    assert state.read_bytes().startswith(b"this is no database")


def test_completion_offers_pipelines_stages_and_runs(make_project):
    """The shell is offered what the working tree's file and the history hold."""
    project = make_project(unit="true", lint="true")
    project.cicdctl("run", "build").passes()

    def offered(*words: str) -> list[str]:
        env = {
            "_CICDCTL_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(("cicdctl", *words)),
            "COMP_CWORD": str(len(words)),
        }
        return project.cicdctl(env=env).stdout.split()

    assert offered("run", "b") == ["build"]
    assert offered("run", "build", "--stage", "l") == ["lint"]
    assert offered("show", "") == ["1"]
    assert "history" in offered("h")


def test_unavailable_parts_are_said(make_project):
    """A key that a run goes on without is told each time."""
    project = make_project(
        "[pipelines.build]\n[pipelines.build.stages]\na = 'true'\n[orchestrator]\npersistence = { enabled = false }\n"
    )
    told = project.cicdctl("run", "build").passes().stderr
    assert "persistence.enabled = false has no effect" in told


def test_broken_file_hides_nothing_that_was_run(make_project):
    """With a broken .cicd.toml in the working tree past runs stay visible; starting one is refused."""
    project = make_project(unit="echo hello")
    project.cicdctl("run", "build").passes()
    project.write(".cicd.toml", "[pipelines.build\n")
    for argv in (["history"], ["show"], ["logs"], ["status"], ["secrets", "set", "TOKEN"], ["cache", "stats"]):
        seen = project.cicdctl(*argv, stdin="value-of-it\n").passes()
        assert argv[0] == "secrets" or ".cicd.toml:1" in seen.stderr
    for argv in (
        ["run", "build"],
        ["run", "build", "HEAD"],
        ["plan", "build"],
        ["rerun"],
        ["config", "show", "--resolved"],
    ):
        assert ".cicd.toml:1" in project.cicdctl(*argv).fails(2).stderr
    told = json.loads(project.cicdctl("config", "validate", "--json").fails(2).stdout)
    assert told["valid"] is False and len(told["problems"]) == 1
    assert "configuration" in project.cicdctl("doctor").stdout


def test_output_that_is_no_utf8_is_kept_byte_for_byte(make_project):
    """Foreign bytes never stop a report; `--raw` gives them back as they came."""
    project = make_project(unit="printf 'caf\\351 \\377\\376\\n'; printf 'half \\303'; false")
    ran = project.cicdctl("run", "build").fails(1)
    assert "caf\ufffd" in ran.stdout
    for argv in (["logs"], ["show"], ["show", "--json"], ["logs", "--grep", "half"]):
        project.cicdctl(*argv).passes()
    raw = subprocess.run(
        [sys.executable, "-P", "-m", "cicdctl", "logs", "--raw"], cwd=project.path, env=project.env, capture_output=True
    )
    assert raw.stdout.endswith(b"caf\xe9 \xff\xfe\nhalf \xc3")


@pytest.mark.parametrize("size", [200_000_000, pytest.param(1_000_000_000, marks=pytest.mark.campaign)])
def test_one_endless_line_costs_no_memory(make_project, size):
    """A line as long as the whole output: the runner's memory stays below 64 MB, and the run passes."""
    project = make_project(unit=f"head -c {size} /dev/zero | tr '\\0' x; echo; echo the end")
    # What is measured is the child of a small process: one of pytest's own would count pytest's memory, from the fork.
    measure = (
        "import resource, subprocess, sys;"
        "subprocess.run([sys.executable, '-P', '-m', 'cicdctl', '-q', 'run', 'build'], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", measure], cwd=project.path, env=project.env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 64_000, done.stdout



def test_fingerprint_that_prints_without_end_is_cut_off(make_project):
    """A command that identifies nothing is an error that names it; it costs neither memory nor a minute."""
    project = make_project('[pipelines.build.stages.a]\nrun = "true"\nfingerprint = ["yes"]\n')
    for command in ("plan", "run"):
        ended = project.cicdctl(command, "build").fails(3)
        assert "fingerprint command 'yes': it prints more than 64 KB" in ended.stdout + ended.stderr


def test_long_commit_texts_fit_into_the_environment(make_project):
    """A message and an author of a hundred thousand letters outside ASCII are cut, and stages run."""
    project = make_project(unit='echo "$CI_COMMIT_MESSAGE" | wc -c; echo "$CI_COMMIT_AUTHOR" | wc -c')
    project.git("commit", "-q", "--allow-empty", "-F", "-", "--author", "🎉" * 30_000 + " <a@b>", stdin="🎉" * 100_000)
    project.cicdctl("run", "build", "HEAD").passes()
    sizes = [int(line) for line in project.cicdctl("logs").passes().stdout.splitlines() if line.isdigit()]
    assert sizes == [32_769, 1_025]


def test_configuration_without_end_is_refused(make_project):
    """What is larger than a configuration may be is never read whole."""
    project = make_project(unit="true")
    told = project.cicdctl("--config", "/dev/zero", "run", "build").fails(2).stderr
    assert "is larger than 256 KiB" in told
    with (project.path / ".cicd.toml").open("wb") as file:
        file.truncate(1 << 40)
    assert "is larger than 256 KiB" in project.cicdctl("run", "build").fails(2).stderr


def test_commands_larger_than_the_system_takes_are_told(make_project):
    """What no shell can be started with is an error in words."""
    ended = make_project(unit=": " + "x" * 140_000).cicdctl("run", "build").fails(3)
    assert "its commands, or a variable it gets, are larger than the 128 KB that the system takes" in ended.stdout


def test_output_file_that_is_gone_fails_the_stage(make_project):
    """A stage that removes the file it may write to has failed, in words."""
    ended = make_project(unit='rm "$CICD_OUTPUT"').cicdctl("run", "build").fails(1)
    assert "CICD_OUTPUT cannot be read: No such file or directory" in ended.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_read_only_cache_costs_one_warning(make_project, tmp_path):
    """A cache folder nobody may write to: the run goes on elsewhere, says so once, and the cache is as it was."""
    project = make_project(unit="echo again")
    project.cicdctl("run", "build").passes()
    cache = tmp_path / "cache"
    subprocess.run(["mount", "--bind", str(cache), str(cache)], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(cache)], check=True)
    try:
        ran = project.cicdctl("run", "build").passes()
        assert ran.stderr.count("warning") == 1 and "this run is not remembered" in ran.stderr
        assert "unit  passed" in ran.stdout
    finally:
        subprocess.run(["umount", "-l", str(cache)], check=True)
    assert "unit  cached     from #1" in project.cicdctl("run", "build").passes().stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_state_on_a_full_disk_loses_nothing(make_project, tmp_path):
    """The state's disk fills up in the middle of a run: it is refused as an error, and the next command tells it."""
    project = make_project(unit="true")
    state = project.path / ".git/cicdctl"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(state)], check=True)
    try:
        project.write(".git/cicdctl/config.toml", "[orchestrator]\nmin_free = 1\n")
        project.cicdctl("run", "build").passes()
        project.write(".cicd.toml", "[pipelines.build.stages]\nunit = 'head -c 9000000 /dev/zero; sleep 1'\n")
        full = project.cicdctl("run", "build").fails(3)
        assert "disk is full" in full.stderr and "cicdctl cache gc" in full.stderr
        (state / "logs/2/unit.1.log").unlink()
        runs = json.loads(project.cicdctl("history", "--json").passes().stdout)["runs"]
        assert [(run["number"], run["verdict"]) for run in runs][1] == (1, "passed")
        assert runs[0]["verdict"] in ("interrupted", "error")
        project.cicdctl("state", "check").passes()
    finally:
        subprocess.run(["umount", "-l", str(state)], check=True)


def test_interrupt_while_the_program_loads_is_silent(make_project):
    """Ctrl-C in the first tenth of a second is no fault of ours to report: status 130, no traceback."""
    project = make_project(unit="true")
    for delay_s in (0.0, 0.02, 0.05, 0.1):
        process = project.start("history")
        time.sleep(delay_s)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
        # Before Python has begun (its own words), or after the command has ended, it is not for us to answer.
        pythons_own = "Fatal Python error" in told or "Could not import runpy" in told
        assert process.returncode in (0, 130, -signal.SIGINT) or pythons_own, told
        assert "cicdctl/" not in told or "Traceback" not in told, told
