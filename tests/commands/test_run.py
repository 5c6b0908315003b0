"""`cicdctl run` as a user sees it."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest


def test_passes_and_remembers(make_project, tmp_path):
    """The second run of the same tree is served from the cache and runs nothing."""
    project = make_project(unit=f"echo ran >> {tmp_path}/log")

    first = project.cicdctl("run", "build").passes()
    second = project.cicdctl("run", "build").passes()

    assert "unit  passed" in first.stdout
    assert "unit  cached     from #1" in second.stdout
    assert (tmp_path / "log").read_text() == "ran\n"


def test_amended_commit_reuses_result(make_project, tmp_path):
    """A new message over the same tree does not run the stages again."""
    project = make_project(unit=f"echo ran >> {tmp_path}/log")
    project.cicdctl("run", "build").passes()

    project.git("commit", "--amend", "-m", "better words")

    assert "unit  cached" in project.cicdctl("run", "build").passes().stdout
    assert (tmp_path / "log").read_text() == "ran\n"


def test_failure_shows_tail_log_and_way_back(make_project):
    """A failure ends with the tail, the path of the whole log and the line that opens a shell."""
    project = make_project(unit="seq 1 100; exit 3")

    failed = project.cicdctl("run", "build").fails(1)

    assert "unit  failed" in failed.stdout
    assert "exit status 3" in failed.stdout
    assert "  │ 100" in failed.stdout and "  │ 81" in failed.stdout and "  │ 79" not in failed.stdout
    assert "again: cicdctl shell 1 unit" in failed.stdout
    log = next(line.split("log:")[1].strip() for line in failed.stdout.splitlines() if "log:" in line)
    assert Path(log).read_text().endswith("99\n100\n")


def test_failures_are_never_reused(make_project, tmp_path):
    """A stage that failed runs again."""
    project = make_project(unit=f"echo ran >> {tmp_path}/log; false")
    project.cicdctl("run", "build").fails(1)
    project.cicdctl("run", "build").fails(1)
    assert (tmp_path / "log").read_text() == "ran\nran\n"


def test_working_tree_is_never_touched(make_project):
    """A dirty tree runs as it is, and afterwards files, index, HEAD and stash are byte for byte as before."""
    project = make_project(unit="cat tracked untracked; rm -rf *; echo gone > tracked", files={"tracked": "one\n"})
    project.write("tracked", "two\n")
    project.write("untracked", "three\n")
    project.write("staged", "four\n")
    project.git("add", "staged")
    before = snapshot(project.path)

    project.cicdctl("run", "build").passes()

    assert snapshot(project.path) == before
    assert "two\nthree" in project.cicdctl("logs", "1", "unit").passes().stdout
    assert project.git("stash", "list") == ""


def snapshot(root: Path) -> dict[str, bytes]:
    files = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_file() and not name.startswith((".git/objects", ".git/cicdctl", ".git/refs/cicd")):
            files[name] = path.read_bytes()
    return files


def test_artifacts_reach_later_stages_also_from_the_cache(make_project):
    """What a stage leaves is there for all later ones, with its modes, whether it ran or was cached."""
    config = """
[pipelines.build.stages.compile]
run = "mkdir -p out/deep && echo hello > out/deep/a && printf '#!/bin/sh\\necho tool' > out/tool && chmod +x out/tool && ln -s deep/a out/link"
inputs = ["source"]
artifacts = ["out/**"]
[pipelines.build.stages.check]
run = "cat out/deep/a"
[pipelines.build.stages.use]
run = "test -x out/tool && test \\"$(out/tool)\\" = tool && cat out/link other"
"""
    project = make_project(config, files={"source": "1", "other": "x\n"})
    project.cicdctl("run", "build").passes()

    project.write("other", "y\n")
    again = project.cicdctl("run", "build").passes()

    assert "compile  cached" in again.stdout
    assert "hello\ny" in project.cicdctl("logs", "2", "use").passes().stdout


def test_early_cut_off(make_project, tmp_path):
    """A rebuild that yields the same bytes ends the chain: later stages stay cached."""
    config = f"""
[pipelines.build.stages.compile]
run = "head -c 1 source > out"
inputs = ["source"]
artifacts = ["out"]
[pipelines.build.stages.use]
run = "cat out; echo ran >> {tmp_path}/log"
inputs = ["nothing*"]
"""
    project = make_project(config, files={"source": "same start"})
    project.cicdctl("run", "build").passes()
    project.write("source", "same end")

    again = project.cicdctl("run", "build").passes()

    assert "compile  passed" in again.stdout and "use      cached" in again.stdout
    assert (tmp_path / "log").read_text() == "ran\n"


def test_needs_order_fail_fast_and_keep_going(make_project):
    """By default nothing starts after a failure; with --keep-going what does not need it goes on."""
    config = """
[pipelines.build.stages]
bad = "exit 7"
after_bad = "true"
[pipelines.build.stages.other]
run = "sleep 0.4"
needs = []
[pipelines.build.stages.last]
run = "echo last"
needs = ["other"]
[pipelines.build.stages.cleanup]
run = "true"
needs = ["bad"]
when = "always"
"""
    project = make_project(config)

    stopped = project.cicdctl("run", "build", "--jobs", "2").fails(1).stdout
    assert 'after_bad  skipped    it needs "bad", which has failed' in stopped
    assert "other      cancelled" in stopped
    assert "cleanup    passed" in stopped

    going = project.cicdctl("run", "build", "--keep-going").fails(1).stdout
    assert "other      passed" in going and "last       passed" in going
    assert "after_bad  skipped" in going


def test_retries_and_flaky(make_project, tmp_path):
    """A stage that passes at its second attempt is flaky, and is not reused."""
    config = f"""
[pipelines.build.stages.unit]
run = "test -e {tmp_path}/second || {{ touch {tmp_path}/second; exit 75; }}"
retries = {{ max = 2, exit_codes = [75] }}
"""
    project = make_project(config)
    assert "flaky: passed at attempt 2" in project.cicdctl("run", "build").passes().stdout
    document = json.loads(project.cicdctl("show", "1", "--json").passes().stdout)
    assert [attempt["exit_code"] for attempt in document["stages"][0]["attempts"]] == [75, 0]
    assert "unit  passed" in project.cicdctl("run", "build").passes().stdout


def test_timeout_skip_and_allowed_failure(make_project):
    """Our timeout is `timed_out`; 125 skips; an allowed failure leaves the run green."""
    config = """
[pipelines.build.stages.optional]
run = "exit 9"
allow_failure = [9]
[pipelines.build.stages.skips]
run = "exit 125"
[pipelines.build.stages.silent]
run = "sleep 30"
idle_timeout = 0.3
[pipelines.build.stages.slow]
run = "while :; do echo .; sleep 0.05; done"
timeout = 0.5
needs = ["skips"]
"""
    project = make_project(config)
    shown = project.cicdctl("run", "build", "-k").fails(1).stdout
    assert "optional  failed" in shown and "allowed to fail" in shown
    assert "skips     skipped    " in shown
    assert "slow      timed_out" in shown and "silent    timed_out" in shown


def test_outputs_matrix_params_and_summary(make_project):
    """CICD_OUTPUT becomes environment downstream; cells and params arrive; summaries are shown."""
    config = """
[pipelines.build.params]
flavour = { default = "plain", choices = ["plain", "sweet"] }
[pipelines.build.stages.version]
run = "echo VERSION=1.2 >> $CICD_OUTPUT"
[pipelines.build.stages.unit]
run = "echo $VERSION $CICD_MATRIX_PYTHON $CICD_PARAM_FLAVOUR; echo \\"**$CICD_MATRIX_PYTHON** ok\\" > $CICD_SUMMARY"
matrix = { python = ["3.11", "3.13"], os = ["a", "b"], exclude = [{ python = "3.11", os = "b" }] }
"""
    project = make_project(config)
    shown = project.cicdctl("run", "build", "--param", "flavour=sweet").passes().stdout
    assert "unit[python=3.11,os=a]" in shown and "unit[python=3.11,os=b]" not in shown
    assert "1.2 3.13 sweet" in project.cicdctl("logs", "1", "unit[python=3.13,os=b]").passes().stdout
    assert "**3.13** ok" in project.cicdctl("show", "1").passes().stdout
    wrong = project.cicdctl("run", "build", "-p", "flavour=sweat").fails(2)
    assert 'did you mean "sweet"' in wrong.stderr


def test_environment_is_built_not_inherited(make_project):
    """A stage sees the documented names and nothing of ours."""
    project = make_project(env="env")
    project.cicdctl("run", "build", env={"LEAK": "no", "GIT_DIR": "/nowhere", "AWS_SECRET": "x"})
    names = {line.split("=")[0] for line in project.cicdctl("logs", "1", "env").passes().stdout.splitlines()}
    assert {"CI", "CICD_RUN", "CI_COMMIT_SHA", "HOME", "TMPDIR", "PATH", "CICD_MARK", "CICD_OUTPUT"} <= names
    assert not names & {"LEAK", "GIT_DIR", "AWS_SECRET", "XDG_CACHE_HOME", "PYTHONPATH"}


def test_secrets_reach_only_their_stage_and_are_masked(make_project):
    """A secret is there for the stage that names it, and absent from every file and output of the run."""
    config = """
[pipelines.build.stages.with]
run = "echo plain $TOKEN; printf %s $TOKEN | base64; test -n \\"$TOKEN\\""
secrets = ["TOKEN"]
[pipelines.build.stages.without]
run = "test -z \\"$TOKEN\\""
"""
    project = make_project(config)
    missing = project.cicdctl("run", "build").fails(2)
    assert 'secret "TOKEN" is not set' in missing.stderr and "cicdctl secrets set TOKEN" in missing.stderr
    project.cicdctl("secrets", "set", "TOKEN", stdin="hunter2-correct-horse\n").passes()
    assert "hunter2" not in project.cicdctl("secrets", "list").passes().stdout

    shown = project.cicdctl("-v", "run", "build").passes()

    log = project.cicdctl("logs", "1", "with", "--raw").passes().stdout
    for text in (shown.stdout, shown.stderr, log, project.cicdctl("show", "1", "--json").passes().stdout):
        assert "hunter2" not in text and "aHVudGVyMi1jb3JyZWN0LWhvcnNl" not in text
    assert "plain ***" in log or "plain [" in log


def test_junit_and_coverage_are_read(make_project):
    """Counts and the place of a failed test appear in the result."""
    junit = (
        "<testsuite><testcase classname='t' name='good' time='0.1'/><testcase classname='t' name='bad' file='t.py' line='3'>"
        "<failure message='boom'>t.py:7: AssertionError</failure></testcase></testsuite>"
    )
    config = """
[pipelines.build.stages.unit]
run = "cat report > r.xml; cat cover > c.xml; exit 1"
reports = { junit = ["r.xml"], coverage = ["c.xml"] }
"""
    cover = '<coverage lines-valid="8" lines-covered="6"/>'
    project = make_project(config, files={"report": junit, "cover": cover})
    shown = project.cicdctl("run", "build").fails(1).stdout
    assert "2 tests, 1 failed" in shown and "coverage 75.0 %" in shown
    assert "t.py:7  t.bad: boom" in shown


def test_damaged_artifact_is_a_miss_not_a_failure(make_project, tmp_path):
    """A flipped byte in the cache costs a rebuild, never a wrong or red run."""
    config = """
[pipelines.build.stages.compile]
run = "echo product > out"
inputs = ["source"]
artifacts = ["out"]
[pipelines.build.stages.use]
run = "grep product out && cat other"
"""
    project = make_project(config, files={"source": "1", "other": "a"})
    project.cicdctl("run", "build").passes()
    for blob in (tmp_path / "cache").rglob("cas/??/*"):
        if blob.read_bytes() == b"product\n":
            blob.chmod(0o644)
            blob.write_bytes(b"damaged\n")
    project.write("other", "b")
    again = project.cicdctl("run", "build").passes()
    assert "damaged or gone; made again" in again.stderr
    assert "use      passed" in again.stdout


def test_fail_on_cache_miss(make_project):
    """With --fail-on-cache-miss nothing runs and the status is 7."""
    project = make_project(unit="true")
    missed = project.cicdctl("run", "build", "--fail-on-cache-miss").fails(7)
    assert 'stage "unit" is not in the cache' in missed.stderr
    assert json.loads(project.cicdctl("show", "--json").passes().stdout)["run"]["verdict"] == "error"
    project.cicdctl("run", "build").passes()
    project.cicdctl("run", "build", "--fail-on-cache-miss").passes()


def test_range_runs_each_commit_once(make_project):
    """A range runs every commit of it, each in a runner of its own."""
    project = make_project(unit="test ! -e broken")
    first = project.git("rev-parse", "HEAD")
    project.write("a", "a")
    second = project.commit("second")
    project.write("broken", "")
    third = project.commit("third")
    ranged = project.cicdctl("run", "build", f"{first}..main").fails(1).stdout
    assert f"{second[:10]}  passed" in ranged and f"{third[:10]}  failed" in ranged and first[:10] not in ranged


def test_json_is_one_versioned_document(make_project):
    """--json prints one document with the run, its stages and its events."""
    project = make_project(unit="true")
    document = json.loads(project.cicdctl("run", "build", "--json").passes().stdout)
    assert document["version"] == 1 and document["run"]["verdict"] == "passed"
    assert [event["event"] for event in document["events"]] == [
        "run_started",
        "stage_started",
        "stage_finished",
        "run_finished",
    ]


def test_interrupt_cancels_and_cleans_up(make_project):
    """Ctrl-C ends the stages, records the run as cancelled and exits 130."""
    project = make_project(slow="sleep 60 & sleep 60")
    process = project.start("run", "build")
    wait_for(lambda: '"running"' in project.cicdctl("status", "--json").stdout)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert "cancelled" in project.cicdctl("history").passes().stdout


def test_second_interrupt_kills_what_ignores_the_first(make_project):
    """Ctrl-C twice does not wait for a stage that ignores it."""
    project = make_project(slow="trap '' TERM INT; sleep 60 & wait; sleep 60")
    process = project.start("run", "build")
    wait_for(lambda: '"running"' in project.cicdctl("status", "--json").stdout)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert not sleeps(project.path.parent)


def test_killed_runner_is_reported_and_leaves_nothing(make_project):
    """kill -9 of the runner: the next command says interrupted, and no process of the stage is left."""
    project = make_project(slow="setsid sleep 60 & sleep 60")
    process = project.start("run", "build")
    wait_for(lambda: '"running"' in project.cicdctl("status", "--json").stdout and sleeps(project.path.parent))
    process.kill()
    process.communicate(timeout=20)

    told = project.cicdctl("history").passes()

    assert "run #1 (build) was interrupted: its runner died" in told.stderr
    assert "interrupted" in told.stdout
    assert not sleeps(project.path.parent)
    assert "slow  passed" not in project.cicdctl("show", "1").passes().stdout


def sleeps(root: Path) -> list[str]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                command = Path(f"/proc/{entry}/cmdline").read_bytes()
                environ = Path(f"/proc/{entry}/environ").read_bytes()
            except OSError:
                continue
            if command == b"sleep\x0060\x00" and os.fsencode(root) in environ:
                found.append(entry)
    return found


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def test_detached_run_goes_on_and_can_be_cancelled(make_project):
    """--detach prints the number at once; cancel ends it."""
    project = make_project(slow="sleep 60")
    started = project.cicdctl("run", "build", "--detach").passes()
    assert started.stdout == "#1\n"
    wait_for(lambda: '"running"' in project.cicdctl("status", "--json").stdout)
    assert "#1 cancelled" in project.cicdctl("cancel", "1").passes().stdout
    project.cicdctl("cancel", "1").fails(2)


def test_two_runs_at_once_do_not_disturb_each_other(make_project):
    """Two runs in one repository have their own numbers, worktrees and results."""
    project = make_project(unit="echo $CICD_RUN > mine; sleep 0.5; test $(cat mine) = $CICD_RUN; true # $CICD_RUN")
    running = [project.start("run", "build", "--no-cache") for _ in range(3)]
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
    numbers = [run["number"] for run in json.loads(project.cicdctl("history", "--json").passes().stdout)["runs"]]
    assert sorted(numbers) == [1, 2, 3]


@pytest.mark.parametrize(
    ("argv", "status", "text"),
    [
        (["run", "biuld"], 2, 'there is no pipeline "biuld", did you mean "build"?'),
        (["run", "build", "nope"], 3, "no such revision"),
        (["run", "build", "--stage", "unot"], 2, 'has no stage "unot", did you mean "unit"?'),
        (["show", "99"], 3, "there is no run #99"),
        (["show", "x"], 2, '"x" is no run number'),
        (["run", "build", "-p", "x"], 2, "--param wants NAME=VALUE"),
        (["logs"], 3, "there are no runs yet"),
    ],
)
def test_mistakes_are_explained(make_project, argv, status, text):
    """A mistake gets its exit status and a line that says what is wrong."""
    project = make_project(unit="true")
    assert text in project.cicdctl(*argv).fails(status).stderr


def test_not_a_repository(make_project, tmp_path):
    """Outside a repository the answer says so."""
    project = make_project(unit="true")
    (tmp_path / "elsewhere").mkdir()
    told = project.cicdctl("-C", str(tmp_path / "elsewhere"), "run", "build").fails(3)
    assert "is not in a git repository" in told.stderr and "git init" in told.stderr


def test_shell_sees_what_the_stage_saw(make_project):
    """`shell` has the commit, the artifacts and the environment, and leaves no trace."""
    config = """
[pipelines.build.stages.compile]
run = "echo product > out"
artifacts = ["out"]
[pipelines.build.stages.unit]
run = "exit 1"
env = { COLOUR = "blue" }
"""
    project = make_project(config, files={"file": "tracked\n"})
    project.cicdctl("run", "build").fails(1)
    project.write("file", "changed later\n")
    seen = project.cicdctl("shell", "1", "unit", "-c", "cat out file; echo $COLOUR $CICD_STAGE; exit 5").fails(5)
    assert seen.stdout == "product\ntracked\nblue unit\n"


def test_what_a_shell_leaves_running_never_meets_a_stage(make_project):
    """A program started in a shell goes on after it; the folder it is in serves nobody else."""
    project = make_project(unit="pwd; ls -A; false")
    project.cicdctl("run", "build").fails(1)
    command = "pwd; (for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2; touch left; done >/dev/null 2>&1 &)"
    folder = project.cicdctl("shell", "1", "unit", "-c", command).fails(0).stdout.strip()
    time.sleep(0.4)
    project.cicdctl("run", "build").fails(1)
    log = project.cicdctl("logs").passes().stdout
    assert folder not in log and "left" not in log.split()
    time.sleep(1.6)


def test_rerun_failed_keeps_what_passed(make_project, tmp_path):
    """`rerun --failed` does not repeat what passed, even when it is never cached."""
    config = f"""
[pipelines.build.stages.ship]
run = "echo shipped >> {tmp_path}/log"
side_effects = true
[pipelines.build.stages.check]
run = "test -e {tmp_path}/go"
"""
    project = make_project(config)
    project.cicdctl("run", "build").fails(1)
    (tmp_path / "go").touch()
    again = project.cicdctl("rerun", "1", "--failed").passes()
    assert "check  passed" in again.stdout
    assert (tmp_path / "log").read_text() == "shipped\n"


def test_plan_and_explain(make_project):
    """plan says what would run; explain names what changed."""
    project = make_project(unit="cat file", files={"file": "1"})
    assert "unit  run  no earlier pass with these inputs" in project.cicdctl("plan", "build").passes().stdout
    project.cicdctl("run", "build").passes()
    assert "unit  cached  passed in #1" in project.cicdctl("plan", "build").passes().stdout
    project.write("file", "2")
    told = project.cicdctl("explain", "build", "unit").passes().stdout
    assert "compared with the pass in #1" in told and "inputs" in told and "file" in told
    assert json.loads(project.cicdctl("plan", "build", "--json").passes().stdout)["stages"][0]["outcome"] == "run"
