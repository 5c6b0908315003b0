"""`cicdctl bisect` as a user sees it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.commands.test_run import snapshot, wait_for
from tests.conftest import GIT_ENV, marked_processes

UNIT = "test ! -e broken || { echo boom; exit 3; }"


@pytest.fixture
def make_history(make_project):
    """Make a project with commits c0 … c<n> of which one adds the file `broken`; give it with their ids."""

    def make(count: int = 8, breaks: int = 5, unit: str = UNIT, config: str | None = None):
        project = make_project(config, unit=unit)
        commits = [project.git("rev-parse", "HEAD")]
        for number in range(1, count + 1):
            project.write(f"f{number}", f"{number}\n")
            if number == breaks:
                project.write("broken", "x\ny\n")
            commits.append(project.commit(f"c{number}"))
        return project, commits

    return make


def history(project) -> list[dict]:
    return json.loads(project.cicdctl("history", "--json", "--limit", "100").passes().stdout)["runs"]


def bisect(project, span: str, *options: str) -> dict:
    document = project.cicdctl("bisect", "build", "unit", span, "--json", *options).stdout
    return json.loads(document)


def test_names_the_culprit_with_all_one_needs(make_history):
    """Commit, author, subject, paths with lines, the failing tail, its log and the way back in; the tree is untouched."""
    project, commits = make_history()
    before = snapshot(project.path)

    out = project.cicdctl("bisect", "build", "unit", f"{commits[0]}..main").passes().stdout

    assert snapshot(project.path) == before
    assert f"{commits[5]} is the first bad commit\n" in out
    assert "  author   Ada Author <ada@example.test>  2026-01-02 03:04 UTC\n  subject  c5\n" in out
    assert "  A  broken  +2 -0\n  A  f5      +1 -0\n" in out
    assert "── unit failed: exit status 3\n" in out and "  │ boom\n" in out
    assert f"         cicdctl run build {commits[5][:10]} --stage unit\n" in out
    number = next(run["number"] for run in history(project) if run["commit"] == commits[5])
    assert f"  again: cicdctl shell {number} unit\n" in out
    log = next(line.split("log:")[1].strip() for line in out.splitlines() if "log:" in line)
    assert "boom" in Path(log).read_text()


def test_takes_as_many_runs_as_it_must(make_history):
    """One at a time: the two ends, the halves, and the culprit once more."""
    project, commits = make_history(count=8, breaks=3)
    document = bisect(project, f"{commits[0]}..main", "--jobs", "1")
    assert document["ending"] == "found" and document["culprit"]["subject"] == "c3"
    assert document["runs"] <= 2 + 3 + 1
    runs = list(reversed(history(project)))
    for before, after in pairwise(runs):
        assert before["finished_at"] <= after["created_at"], (
            "a run is as old as its start, not as the look at its commit"
        )


def test_known_verdicts_cost_nothing(make_history, tmp_path):
    """The second search runs only what failed: passes are remembered, and earlier failures say where to look."""
    project, commits = make_history(unit=f"echo ran >> {tmp_path}/log; {UNIT}")
    first = bisect(project, f"{commits[0]}..main", "--jobs", "1")
    ran = (tmp_path / "log").read_text().count("ran")
    assert ran == first["runs"]

    second = bisect(project, f"{commits[0]}..main", "--jobs", "1")

    assert second["culprit"] == first["culprit"] and second["runs"] == 2
    assert {tried["cached"] for tried in second["tried"] if tried["answer"] == "good"} == {True}
    assert bisect(project, f"{commits[0]}..main", "--jobs", "1", "--no-cache")["runs"] == first["runs"]


def test_same_trees_after_a_rebase_are_known(make_history):
    """Commits that were only reworded need no run where their trees passed before."""
    project, commits = make_history(count=6, breaks=6)
    project.cicdctl("run", "build", f"{commits[0]}..{commits[5]}").passes()
    reworded = commits[0]
    for number in range(1, 7):
        tree = project.git("rev-parse", f"{commits[number]}^{{tree}}")
        reworded = project.git("commit-tree", tree, "-p", reworded, "-m", f"reworded {number}")
    project.git("branch", "again", reworded)
    document = bisect(project, f"{commits[0]}..again")
    assert document["culprit"]["subject"] == "reworded 6"
    ran = {tried["commit"]: tried["answer"] for tried in document["tried"] if not tried["cached"]}
    assert ran == {document["bad"]: "bad", document["good"]: "good"}


def test_begins_at_the_last_green_run(make_history):
    """Without GOOD it is where the stage last passed before BAD, on whatever branch; without such a run it says so."""
    project, commits = make_history(count=5, breaks=4)
    failed = project.cicdctl("bisect", "build", "unit", "..main").fails(2)
    assert 'error: no run is known in which "unit" passed before' in failed.stderr
    assert "hint: name a good commit: cicdctl bisect build unit GOOD..main" in failed.stderr
    project.cicdctl("run", "build", commits[2]).passes()
    project.git("branch", "other", project.git("commit-tree", f"{commits[0]}^{{tree}}", "-m", "unrelated"))
    project.cicdctl("run", "build", "other").passes()
    document = bisect(project, "..")
    assert (document["good"], document["good_run"]) == (commits[2], 1)
    assert document["culprit"]["subject"] == "c4"


def test_side_branch_is_searched_and_first_parent_names_the_merge(make_project):
    """A fault that came by a merge: its own commit in the whole history, the merge among first parents."""
    project = make_project(unit=UNIT)
    good = project.git("rev-parse", "HEAD")
    project.git("checkout", "-q", "-b", "side")
    for number in range(3):
        project.write("broken" if number == 1 else f"s{number}", "x")
        project.commit(f"side {number}")
    project.git("checkout", "-q", "main")
    for number in range(3):
        project.write(f"m{number}", "x")
        project.commit(f"main {number}")
    project.git("merge", "-q", "--no-ff", "-m", "merge side", "side")
    project.write("after", "x")
    project.commit("after")
    assert bisect(project, f"{good}..main")["culprit"]["subject"] == "side 1"
    out = project.cicdctl("bisect", "build", "unit", f"{good}..main", "--first-parent").passes().stdout
    merge = project.git("rev-parse", "main~1")
    into = f"{merge[:10]}^..{merge[:10]}"
    assert f"{merge} is the first bad commit  a merge; what it brought: cicdctl bisect build unit {into}\n" in out
    assert bisect(project, into)["culprit"]["subject"] == "side 1"
    assert "  subject  merge side\n" in out and "  A  broken  +1 -0\n" in out


def test_commits_that_cannot_be_judged_are_gone_round(make_project):
    """Exit status 125, a broken configuration, a need that fails: none of them is good or bad."""
    config = (
        '[pipelines.build.stages]\ncompile = "test ! -e uncompilable"\nunit = "test ! -e untestable || exit 125; {}"\n'
    )
    project = make_project(config.format(UNIT))
    good = project.git("rev-parse", "HEAD")
    project.write("broken", "x")
    culprit = project.commit("culprit")
    project.write(".cicd.toml", "[pipelines.build.stages.unit]\nrun = 1\n")
    project.commit("no configuration")
    project.write(".cicd.toml", config.format(UNIT))
    project.write("uncompilable", "x")
    project.commit("does not compile")
    project.git("rm", "-q", "uncompilable")
    project.write("untestable", "x")
    project.commit("skips itself")
    project.git("rm", "-q", "untestable")
    project.commit("end")
    document = bisect(project, f"{good}..main")
    assert document["culprit"]["commit"] == culprit
    reasons = " ".join(tried["reason"] for tried in document["tried"] if tried["answer"] == "skipped")
    assert "125" in reasons or "compile" in reasons or "run" in reasons


def test_culprit_among_what_cannot_be_judged(make_history):
    """When only what cannot be judged is left, all that it may be is listed, and the status is 1."""
    project, commits = make_history(count=5, breaks=3, unit=f"test -e f4 -o ! -e f2 || exit 125; {UNIT}")
    done = project.cicdctl("bisect", "build", "unit", f"{commits[0]}..main").fails(1)
    assert "one of these 3 is the first bad commit; all but the last cannot be judged:\n" in done.stdout
    assert f"  {commits[2][:10]}  c2  (exit status 125: it skipped itself)\n" in done.stdout
    assert f"  {commits[4][:10]}  c4\n" in done.stdout
    assert bisect(project, f"{commits[0]}..main")["ending"] == "narrowed"


def test_flaky_failure_does_not_mislead(make_history, tmp_path):
    """A commit that fails once and then passes is good, and both runs are named; the culprit is found behind it."""
    project, commits = make_history(
        count=8, breaks=6, unit=f"test -e f4 && test ! -e f5 && mkdir {tmp_path}/once 2>/dev/null && exit 1; {UNIT}"
    )
    out = project.cicdctl("bisect", "build", "unit", f"{commits[0]}..main", "--jobs", "1").passes().stdout
    assert f"{commits[6]} is the first bad commit\n" in out
    line = next(line for line in out.splitlines() if line.startswith(f"  good      {commits[4][:10]}"))
    assert "flaky: failed in #3, passed in #" in line
    assert out.endswith("1 flaky\n")


def test_retries_none_takes_the_first_failure(make_history):
    """With --retries 0 no commit is run twice."""
    project, commits = make_history(count=4, breaks=2)
    document = bisect(project, f"{commits[0]}..main", "--jobs", "1", "--retries", "0")
    assert document["culprit"]["subject"] == "c2"
    ran = [run["commit"] for run in history(project)]
    assert len(ran) == len(set(ran)) == document["runs"]


def test_ends_that_are_not_as_said(make_history):
    """A good commit that fails, a bad one that passes or cannot be judged: each is told, with status 2."""
    project, commits = make_history(count=6, breaks=3, unit=f"test ! -e f6 || exit 125; {UNIT}")
    bad_good = project.cicdctl("bisect", "build", "unit", f"{commits[3]}..{commits[5]}").fails(2)
    assert f'error: {commits[3][:10]} (c3) is not good: "unit" failed in #' in bad_good.stderr
    assert "hint: name an older commit" in bad_good.stderr and "  │ boom\n" in bad_good.stdout
    good_bad = project.cicdctl("bisect", "build", "unit", f"{commits[0]}..{commits[2]}").fails(2)
    assert f'error: {commits[2][:10]} (c2) is not bad: "unit" passed in #' in good_bad.stderr
    known = project.cicdctl("bisect", "build", "unit", f"{commits[0]}..{commits[2]}").fails(2)
    assert "hint: --no-cache runs it anew" in known.stderr
    skipped = project.cicdctl("bisect", "build", "unit", f"{commits[0]}..{commits[6]}").fails(2)
    assert f"error: {commits[6][:10]} (c6) cannot be judged: exit status 125: it skipped itself" in skipped.stderr
    assert bisect(project, f"{commits[3]}..{commits[5]}")["ending"] == "good_is_bad"


def test_where_histories_part_must_be_good(make_project):
    """A good commit of another branch may hold a repair: what both have in common is checked, too."""
    project = make_project(unit=UNIT)
    project.write("broken", "x")
    base = project.commit("base")
    project.git("checkout", "-q", "-b", "repaired")
    project.git("rm", "-q", "broken")
    project.commit("repair")
    project.git("checkout", "-q", "main")
    project.write("more", "x")
    project.commit("more")
    failed = project.cicdctl("bisect", "build", "unit", "repaired..main").fails(2)
    assert f'error: {base[:10]} (base), where the two histories part, is bad already: "unit" failed' in failed.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["build", "unit", "main"], 2, '"main" is not a range GOOD..BAD'),
        (["build", "unit", "main...main"], 2, "is not a range GOOD..BAD"),
        (["build", "unit", "main..main"], 2, 'no commit lies between "main" and "main"'),
        (["build", "unit", "nowhere..main"], 3, "no such revision 'nowhere'"),
        (["build", "units", "main~1..main"], 2, 'has no stage "units", did you mean "unit"?'),
        (["built", "unit", "main~1..main"], 2, 'there is no pipeline "built"'),
        (["build", "unit", "main~1..main", "--param", "x"], 2, "--param wants NAME=VALUE"),
    ],
)
def test_what_cannot_be_asked(make_history, words, status, said):
    project, _ = make_history(count=1)
    assert said in project.cicdctl("bisect", *words).fails(status).stderr
    assert history(project) == []


def test_one_cell_of_a_matrix(make_project):
    """A cell can be named; the whole stage is bad where one of its cells is."""
    config = (
        '[pipelines.build.stages.unit]\nrun = "test ! -e broken-$CICD_MATRIX_SIDE"\nmatrix = { side = ["a", "b"] }\n'
    )
    project = make_project(config)
    good = project.git("rev-parse", "HEAD")
    for number, side in enumerate("ba"):
        project.write(f"broken-{side}", "x")
        project.commit(f"breaks {side}")
        project.write(f"f{number}", "x")
        project.commit(f"after {side}")
    assert bisect(project, f"{good}..main")["culprit"]["subject"] == "breaks b"
    done = project.cicdctl("bisect", "build", "unit[side=a]", f"{good}..main", "--json").passes()
    assert json.loads(done.stdout)["culprit"]["subject"] == "breaks a"


def test_interrupt_leaves_nothing_and_the_next_goes_on(make_history, tmp_path):
    """Ctrl-C: every run has ended and is recorded, no commit stays pinned; what passed is known the next time."""
    project, commits = make_history(unit=f"touch {tmp_path}/started-$CICD_RUN; test ! -e f4 || sleep 60")
    process = project.start("bisect", "build", "unit", f"{commits[0]}..main")
    wait_for(lambda: any(run["verdict"] == "passed" for run in history(project)))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; the same command goes on with what is known so far" in err
    assert {run["state"] for run in history(project)} == {"done"}
    assert project.git("for-each-ref", "refs/cicd/") == ""
    assert not [line for line in marked_processes(str(tmp_path).encode()) if "_runner" in line]


def test_termination_is_an_interrupt(make_history, tmp_path):
    """SIGTERM ends the runs, too: none outlives the search."""
    project, commits = make_history(unit=f"touch {tmp_path}/started; sleep 60")
    process = project.start("bisect", "build", "unit", f"{commits[0]}..main")
    wait_for((tmp_path / "started").exists)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert {run["verdict"] for run in history(project)} == {"cancelled"}


def test_quiet_tells_only_the_end(make_history):
    project, commits = make_history(count=2, breaks=1)
    out = project.cicdctl("-q", "bisect", "build", "unit", f"{commits[0]}..main").passes().stdout
    assert out.startswith(f"\n{commits[1]} is the first bad commit\n")


def test_terminal_shows_what_runs(make_history):
    """On a terminal the commits that run are drawn below the lines, and the terminal is given back."""
    project, commits = make_history(count=3, breaks=2, unit=f"sleep 0.3; {UNIT}")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cicdctl", "bisect", "build", "unit", f"{commits[0]}..main"],
        cwd=project.path,
        env=project.env | GIT_ENV | {"TERM": "xterm-256color", "COLUMNS": "120"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 1 << 16):
            seen += chunk
    except OSError:
        pass
    finally:
        os.close(ours)
        process.wait()
    text = seen.decode()
    assert process.returncode == 0
    assert "● " in text and "3 commits left" in text and "\x1b[31mbad" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")
    assert f"{commits[2]} is the first bad commit" in text
