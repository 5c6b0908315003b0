"""How commands meet a wrong option, a reader who leaves, a question nobody can answer."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("argv", "option", "beside"),
    [
        (["run", "build", "--detach", "--junit", "x.xml"], "--junit", "--detach"),
        (["run", "build", "--detach", "--events", "x"], "--events", "--detach"),
        (["run", "build", "HEAD~1..HEAD", "--events", "x"], "--events", "a range"),
        (["run", "build", "HEAD~1..HEAD", "--junit", "x.xml"], "--junit", "a range"),
        (["run", "build", "HEAD~1..HEAD", "--detach"], "--detach", "a range"),
        (["run", "build", "--dry-run", "--junit", "x.xml"], "--junit", "--dry-run"),
    ],
)
def test_options_without_an_effect_are_refused(make_project, argv, option, beside):
    """An option that another one would make useless is named, and nothing runs."""
    project = make_project(unit="true")
    project.commit("second")
    assert f"error: {option} cannot be used with {beside}\n" in project.cicdctl(*argv).fails(2).stderr
    assert "no runs yet" in project.cicdctl("history").passes().stdout


@pytest.mark.parametrize("option", ["--events", "--junit"])
@pytest.mark.parametrize("place", [".", ".cicd.toml/x", "/proc/nowhere/x"])
def test_report_files_that_cannot_be_written_are_told_before_anything_runs(make_project, option, place):
    """A folder, a file in a file, a folder that cannot be made: a usage error that names option and path."""
    project = make_project(unit="true")
    told = project.cicdctl("run", "build", option, place).fails(2).stderr
    assert told.startswith(f"error: {option}: cannot write ") and place.strip(".") in told
    assert "no runs yet" in project.cicdctl("history").passes().stdout
    assert project.git("status", "--porcelain") == ""


def test_report_files_go_where_they_are_wanted(make_project):
    """Folders are made for them."""
    project = make_project(unit="true")
    project.cicdctl("run", "build", "--events", "a/b/events", "--junit", "c/report.xml").passes()
    assert (project.path / "a/b/events").read_text().count("\n") == 4
    assert (project.path / "c/report.xml").exists()


@pytest.mark.parametrize(
    "argv",
    [["run", "build"], ["run", "build", "--json"], ["run", "build", "HEAD~1..HEAD"], ["history"], ["--help"]],
    ids=" ".join,
)
def test_a_reader_who_leaves_ends_in_141(make_project, argv):
    """The status says it and nothing else does; a run goes on to its end all the same."""
    project = make_project(unit="true")
    project.commit("second")
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-P", "-m", "cicdctl", *argv]
    done = subprocess.run(command, cwd=project.path, env=project.env, stdout=theirs, stderr=subprocess.PIPE, timeout=60)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, b"")
    if argv[0] == "run":
        assert json.loads(project.cicdctl("history", "--json").passes().stdout)["runs"][0]["verdict"] == "passed"


def test_output_that_does_not_fit_is_an_error_not_a_bug(make_project):
    """A full disk under stdout."""
    project = make_project(unit="true")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-P", "-m", "cicdctl", "config", "show"]
        done = subprocess.run(
            command, cwd=project.path, env=project.env, stdout=full, stderr=subprocess.PIPE, timeout=60
        )
    assert (done.returncode, done.stderr) == (3, b"error: cannot write the output: No space left on device\n")


def test_closed_streams_are_no_trouble(make_project):
    """Started with nothing open, a run is recorded all the same."""
    project = make_project(unit="true")
    script = 'exec "$0" -P -m cicdctl run build <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", script, sys.executable], cwd=project.path, env=project.env).returncode == 0
    assert "passed" in project.cicdctl("history").passes().stdout


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["run", "build", "--no-color"], '"--no-color" goes before the command\nhint: cicdctl --no-color run …\n'),
        (["cache", "stats", "-q"], '"-q" goes before the command\nhint: cicdctl -q cache …\n'),
        (["history", "-C", "x"], '"-C" goes before the command\nhint: cicdctl -C history …\n'),
    ],
)
def test_general_options_after_the_command_get_a_hint(make_project, argv, told):
    assert make_project(unit="true").cicdctl(*argv).fails(2).stderr == f"error: {told}"


def test_an_unknown_option_is_still_unknown(make_project):
    assert "No such option: --colour" in make_project(unit="true").cicdctl("run", "build", "--colour").fails(2).stderr


def test_clearing_the_cache_asks_a_person_or_nobody(make_project):
    """Without a terminal the hint names --yes; on one, no keeps everything and yes forgets it."""
    project = make_project(unit="true")
    project.cicdctl("run", "build").passes()
    assert "hint: --yes does not ask" in project.cicdctl("cache", "clear", stdin="y\n").fails(2).stderr
    assert answer(project, b"n\n", "cache", "clear") == 5
    assert "unit  cached" in project.cicdctl("run", "build").passes().stdout
    assert answer(project, b"y\n", "cache", "clear") == 0
    assert "unit  passed" in project.cicdctl("run", "build").passes().stdout


def answer(project, keys: bytes, *argv: str) -> int:
    """Run cicdctl with a terminal as its stdin on which these keys are pressed."""
    ours, theirs = pty.openpty()
    os.write(ours, keys)
    command = [sys.executable, "-P", "-m", "cicdctl", *argv]
    done = subprocess.run(command, cwd=project.path, env=project.env, stdin=theirs, capture_output=True, timeout=60)
    os.close(ours)
    os.close(theirs)
    return done.returncode


def test_an_unknown_plugin_cannot_be_removed(make_project):
    """Only plugins are, whatever else pip could remove."""
    project = make_project(unit="true")
    for name in ("nope", "pip"):
        assert f'error: there is no plugin "{name}"\n' in project.cicdctl("plugins", "remove", name).fails(2).stderr


@pytest.mark.parametrize(
    "name", ["PATH", "LD_PRELOAD", "PYTHONPATH", "BASH_ENV", "ENV", "IFS", "GIT_DIR", "CICD_RUN", "a-b"]
)
def test_secrets_cannot_steer_programs(make_project, name):
    """The names that the configuration refuses are refused before a value is read."""
    told = make_project(unit="true").cicdctl("secrets", "set", name, stdin="").fails(2).stderr
    assert told.startswith(f'error: "{name}"') and "empty" not in told


def test_an_empty_secret_is_refused(make_project):
    told = make_project(unit="true").cicdctl("secrets", "set", "TOKEN").fails(2).stderr
    assert told == 'error: the value of "TOKEN" is empty\nhint: cicdctl secrets set TOKEN < FILE reads it\n'


def test_shell_tells_of_a_secret_that_is_gone(make_project):
    """The stage had it, the shell has not."""
    project = make_project('[pipelines.build.stages.unit]\nrun = "exit 1"\nsecrets = ["TOKEN"]\n')
    project.cicdctl("run", "build", env={"TOKEN": "abcdefgh"}).fails(1)
    told = project.cicdctl("shell", "1", "unit", "-c", "echo [$TOKEN]").passes()
    assert told.stdout == "[]\n" and 'warning: secret "TOKEN" is not set' in told.stderr


def test_plan_says_what_it_looks_at(make_project):
    """A changed working tree by that name, since its commit is in no history; a commit by its id."""
    project = make_project(unit="true")
    head = project.git("rev-parse", "HEAD")
    assert project.cicdctl("plan", "build").passes().stdout.startswith(f"build on {head[:10]}\n")
    project.write("new", "")
    assert project.cicdctl("plan", "build").passes().stdout.startswith("build on working tree (changed)\n")
    assert json.loads(project.cicdctl("plan", "build", "--json").passes().stdout)["snapshot"] is True
    assert project.cicdctl("plan", "build", "HEAD").passes().stdout.startswith(f"build on {head[:10]}\n")


def test_colours_in_a_pipe_when_they_are_wanted(make_project):
    """FORCE_COLOR paints plain reports, NO_COLOR and --no-color win."""
    project = make_project(unit="printf '\\033[35mpink\\n'; exit 1")
    project.env["FORCE_COLOR"] = "1"
    painted = project.cicdctl("run", "build").fails(1).stdout
    assert "\x1b[31mfailed   \x1b[0m" in painted and "\x1b[31m#1 build failed" in painted and "\x1b[35mpink" in painted
    assert "\x1b[35mpink" in project.cicdctl("logs").passes().stdout
    assert "\x1b" not in project.cicdctl("--no-color", "run", "build").fails(1).stdout
    project.env["NO_COLOR"] = "1"
    assert "\x1b" not in project.cicdctl("run", "build").fails(1).stdout
    assert "\x1b" not in project.cicdctl("logs").passes().stdout


def test_only_the_program_installs_completion(make_project):
    project = make_project(unit="true")
    assert "--install-completion" in project.cicdctl("--help").passes().stdout
    for argv in (["run"], ["cache"], ["cache", "gc"]):
        assert "completion" not in project.cicdctl(*argv, "--help").passes().stdout


def test_a_bare_repository_shows_the_configuration_of_head(make_project, tmp_path):
    project = make_project(unit="true")
    project.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    shown = project.cicdctl("-C", str(tmp_path / "bare.git"), "config", "show").passes().stdout
    assert shown == "build  (manual)\n  unit  true\n"


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_a_terminal_that_is_not_utf8_is_told_how_a_run_ended(make_project, encoding):
    """Lines and marks it cannot show are escaped; nothing is lost."""
    project = make_project(unit="printf 'gr\\303\\274n \\342\\202\\254'; false")
    for argv in (["run", "build"], ["status"], ["plan", "build", "--graph"], ["logs"]):
        told = project.cicdctl(*argv, env={"PYTHONUTF8": "0", "PYTHONIOENCODING": encoding})
        assert told.status == (argv[0] == "run") and "Error" not in told.stderr
    assert "#1 build failed" in project.cicdctl("show", env={"PYTHONIOENCODING": encoding}).passes().stdout
