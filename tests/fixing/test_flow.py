"""From a red run to an offered commit, and into the branch and back: with a command, so without any key."""

from __future__ import annotations

import json
import re
import sqlite3


def state_of(project) -> dict[str, str]:
    """Everything of the user's that no fix may touch, as bytes."""
    config = (project.path / ".git" / "config").read_bytes()
    index = project.git("ls-files", "--stage")
    files = {
        str(path.relative_to(project.path)): path.read_bytes()
        for path in sorted(project.path.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(project.path).parts
    }
    return {
        "head": (project.path / ".git" / "HEAD").read_text(),
        "tip": project.git("rev-parse", "HEAD"),
        "index": index,
        "config": config.hex(),
        "stash": project.git("stash", "list"),
        "files": repr(files),
    }


def test_run_offers_a_verified_fix(broken):
    """`run` stays red; the fix is a commit of its own with trailers, and nothing of the user's has changed."""
    project = broken()
    before = state_of(project)

    run = project.cicdctl("run", "build", "HEAD").fails(1)

    assert "fix ready  cicdctl/fix/1-lint   1 file, +1 -1" in run.stderr + run.stdout
    assert state_of(project) == before
    message = project.git("log", "-1", "--format=%an <%ae>%n%B", "cicdctl/fix/1-lint")
    assert message.startswith("cicdctl fix <cicdctl@localhost>\nfix(lint): ")
    assert "Cicdctl-Run: 1\nCicdctl-Stage: lint\n" in message
    assert re.search(r"^Cicdctl-Verified: lint unit; ", message, re.MULTILINE)
    assert re.search(r"^Cicdctl-Proof: sha256:[0-9a-f]{64}$", message, re.MULTILINE)
    assert project.git("diff", "--name-only", "HEAD", "cicdctl/fix/1-lint") == "src/app.py"
    assert project.git("rev-parse", "cicdctl/fix/1-lint^") == before["tip"]


def test_apply_and_undo(broken):
    """Applied it is the tip of the branch; undone everything is as before."""
    project = broken()
    project.cicdctl("run", "build", "HEAD").fails(1)
    before = state_of(project)

    project.cicdctl("fix", "apply", "1").passes()
    assert project.git("rev-parse", "HEAD") == project.git("rev-parse", "cicdctl/fix/1-lint")
    assert "\t" not in (project.path / "src/app.py").read_text()
    project.cicdctl("run", "build", "HEAD").passes()
    project.cicdctl("fix", "apply", "1").fails(2)

    project.cicdctl("fix", "undo", "1").passes()
    assert state_of(project) == before
    assert "is not applied" in project.cicdctl("fix", "undo", "1").fails(2).stderr


def test_apply_refuses_after_the_head_moved_into_conflict(broken):
    """A conflict leaves branch and files as they were."""
    project = broken()
    project.cicdctl("run", "build", "HEAD").fails(1)
    project.write("src/app.py", "def double(n):\n\treturn n + n\n")
    project.commit("another way")
    before = state_of(project)

    assert "cherry-pick failed" in project.cicdctl("fix", "apply", "1").fails(3).stderr
    assert state_of(project) == before
    assert project.git("branch", "--list", "cicdctl/*") == "cicdctl/fix/1-lint"


def test_apply_elsewhere(broken, tmp_path):
    """To a branch that is not checked out, as a patch, or to the files only."""
    project = broken()
    project.cicdctl("run", "build", "HEAD").fails(1)
    project.cicdctl("fix", "apply", "1", "--branch", "fixed").passes()
    assert project.git("rev-parse", "fixed") == project.git("rev-parse", "cicdctl/fix/1-lint")
    project.cicdctl("fix", "undo", "1").passes()

    patch = tmp_path / "fix.patch"
    project.cicdctl("fix", "apply", "1", "--patch", str(patch)).passes()
    project.git("apply", "--check", str(patch))
    assert project.cicdctl("fix", "diff", "1").passes().stdout == patch.read_text()
    assert "exists" in project.cicdctl("fix", "apply", "1", "--patch", str(patch)).fails(2).stderr

    tip = project.git("rev-parse", "HEAD")
    project.cicdctl("fix", "apply", "1", "--no-commit").passes()
    assert project.git("rev-parse", "HEAD") == tip
    assert project.git("diff", "--cached", "--name-only") == "src/app.py"


def test_fix_of_a_snapshot_edits_only_its_files(broken):
    """The working tree's own changes are fixed in place, never its index; and not after they changed again."""
    project = broken()
    project.write("src/app.py", "def double(n):\n\treturn n + n\n")
    project.write("src/new.py", "# untracked\n")
    project.cicdctl("run", "build").fails(1)
    index = project.git("ls-files", "--stage")

    project.cicdctl("fix", "apply", "1").passes()
    assert (project.path / "src/app.py").read_text() == "def double(n):\n    return n + n\n"
    assert project.git("ls-files", "--stage") == index
    project.cicdctl("fix", "undo", "1").passes()
    assert (project.path / "src/app.py").read_text() == "def double(n):\n\treturn n + n\n"

    project.write("src/app.py", "def double(n):\n\treturn n * 2\n")
    assert '"src/app.py" has changed since' in project.cicdctl("fix", "apply", "1").fails(2).stderr


def test_exit_codes_and_documents(broken):
    """Each answer has its status: no run, no failure, a number that is none, a fix that is there already."""
    project = broken()
    assert "no run has failed" in project.cicdctl("fix").fails(2).stderr
    assert "there is no run #7" in project.cicdctl("fix", "7").fails(3).stderr
    assert '"seven" is no run' in project.cicdctl("fix", "seven").fails(2).stderr
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    assert "did not fail" in project.cicdctl("fix", "1/unit").fails(2).stderr
    assert 'no stage "lnt", did you mean "lint"?' in project.cicdctl("fix", "1/lnt").fails(2).stderr

    forecast = json.loads(project.cicdctl("fix", "1", "--dry-run", "--json").passes().stdout)
    assert forecast["refusal"] is None
    assert [one["fixer"] for one in forecast["asked"] if one["answer"] != "no"] == ["untab"]
    assert project.git("branch", "--list", "cicdctl/*") == ""

    document = json.loads(project.cicdctl("fix", "1", "--json").passes().stdout)
    assert document["outcome"] == "fixed"
    assert document["id"] == "1/lint"
    again = json.loads(project.cicdctl("fix", "1", "--json").passes().stdout)
    assert again["commit"] == document["commit"]
    listed = json.loads(project.cicdctl("fix", "list", "--json").passes().stdout)
    assert [one["id"] for one in listed["fixes"]] == ["1/lint"]
    shown = json.loads(project.cicdctl("fix", "show", "1", "--json").passes().stdout)
    states = [event["kind"] for event in shown["events"] if event["kind"] != "told"]
    assert states == [
        "captured",
        "triaged",
        "flake_check",
        "planned",
        "prepared",
        "applying",
        "guarded",
        "staged",
        "verifying",
        "committed",
        "published",
        "done",
    ]


def test_reject_is_remembered(broken):
    """The branch goes, the same failure gets no second offer, and `--again` insists."""
    project = broken()
    project.cicdctl("run", "build", "HEAD").fails(1)
    project.cicdctl("fix", "reject", "1", "--reason", "we like tabs").passes()
    assert project.git("branch", "--list", "cicdctl/*") == ""
    project.git("commit", "--allow-empty", "-qm", "more")

    run = project.cicdctl("run", "build", "HEAD").fails(1)
    assert "was rejected: we like tabs" in run.stderr + run.stdout
    assert "was rejected" in project.cicdctl("fix", "apply", "1").fails(2).stderr


def test_proof_is_checked(broken):
    """Every digest holds; a commit whose tree was changed does not keep its proof."""
    project = broken()
    project.cicdctl("run", "build", "HEAD").fails(1)
    assert "FAILS" not in project.cicdctl("fix", "verify-proof", "cicdctl/fix/1-lint").passes().stdout

    offered = project.git("rev-parse", "cicdctl/fix/1-lint")
    project.git("checkout", "-q", "cicdctl/fix/1-lint")
    project.write("src/app.py", "import os\n")
    project.git("commit", "-qa", "--amend", "--no-edit")
    forged = project.cicdctl("fix", "verify-proof", "HEAD").fails(1).stdout
    assert "FAILS  the commit has the tree that was verified" in forged
    assert "is no fix of cicdctl" in project.cicdctl("fix", "verify-proof", "HEAD^").fails(2).stderr

    with sqlite3.connect(project.path / ".git/cicdctl/state.db") as state:
        state.execute("UPDATE fix_document SET text = replace(text, '\"full\"', '\"partial\"') WHERE name = 'proof'")
    tampered = project.cicdctl("fix", "verify-proof", offered).fails(1).stdout
    assert [line for line in tampered.splitlines() if line.startswith("FAILS")] == [
        "FAILS  the proof is the one the commit names"
    ]


def test_flaky_failure_is_not_fixed(broken, tmp_path):
    """What passes when it runs again gets no patch, whatever the fixer would have changed."""
    flag = tmp_path / "ran"
    config = f"[pipelines.build.stages.lint]\nrun = 'test -e {flag} || {{ touch {flag}; false; }}'\n"
    project = broken(config=config)
    project.cicdctl("run", "build", "HEAD").fails(1)
    assert "passed when it ran again" in project.cicdctl("fix", "show", "1").passes().stdout
    assert project.git("branch", "--list", "cicdctl/*") == ""
    project.cicdctl("fix", "1").fails(4)


def test_what_passes_without_the_fix_is_flaky(broken, tmp_path):
    """40: it failed twice and then no more, whatever was changed: the fix has proved nothing and is not offered."""
    count = tmp_path / "count"
    count.write_text("")
    run = f"echo x >> {count}; test $(wc -l < {count}) -gt 2 || {{ echo 'src/app.py:2:1: W191 tabs'; exit 1; }}"
    project = broken(config=f'[pipelines.build.stages]\nlint = "{run}"\n')
    told = project.cicdctl("run", "build", "HEAD").fails(1)
    assert "without the fix it passes as well" in told.stdout + told.stderr
    shown = json.loads(project.cicdctl("fix", "show", "1", "--json").passes().stdout)
    assert (shown["outcome"], shown["verification"]["flip"]) == ("flaky", "not_reproduced")
    assert project.git("branch", "--list", "cicdctl/*") == ""
    project.cicdctl("fix", "1").fails(4)


def test_fix_of_a_fix_is_refused(broken):
    """A head that is a fix itself, or a branch of fixes, starts no loop."""
    project = broken()
    project.cicdctl("run", "build", "HEAD").fails(1)
    project.cicdctl("fix", "apply", "1").passes()
    project.write("src/app.py", "def double(n):\n\treturn n\n")
    project.git("commit", "-qa", "--amend", "--no-edit")
    run = project.cicdctl("run", "build", "HEAD").fails(1)
    assert "is a fix itself" in run.stderr + run.stdout


def test_breaking_another_stage_is_no_fix(broken):
    """A patch that repairs the stage and breaks another one is not offered."""
    spoil = """
[fixers.untab]
run = "printf 'def double(n): return 5' > src/app.py"
stages = ["lint"]
paths = ["src/**"]
"""
    project = broken(fixer=spoil)
    run = project.cicdctl("run", "build", "HEAD").fails(1)
    assert "another stage fails: unit" in run.stderr + run.stdout
    assert project.git("branch", "--list", "cicdctl/*") == ""
    project.cicdctl("fix", "1").fails(1)


def test_runs_of_fixes_stay_out_of_the_way(broken):
    """They are runs like others, seen with --all, and never decide how a branch stands."""
    project = broken()
    project.cicdctl("run", "build", "HEAD").fails(1)
    plain = json.loads(project.cicdctl("history", "--json").passes().stdout)
    assert [run["number"] for run in plain["runs"]] == [1]
    everything = json.loads(project.cicdctl("history", "--all", "--json").passes().stdout)
    assert {run["trigger"] for run in everything["runs"]} == {"manual", "fix"}
    assert all(run["parent"] == 1 for run in everything["runs"] if run["trigger"] == "fix")
    status = json.loads(project.cicdctl("status", "--json").passes().stdout)
    assert "failed" in json.dumps(status)
    assert '"trigger": "fix"' not in json.dumps(status)


def test_nothing_is_left_behind(broken):
    """No worktree of git, no pin, no process, no lock file that matters."""
    project = broken()
    project.cicdctl("run", "build", "HEAD").fails(1)
    project.cicdctl("status").passes()
    refs = project.git("for-each-ref", "--format=%(refname)").splitlines()
    assert [ref for ref in refs if ref.startswith("refs/cicd/keep/")] == []
    assert len(project.git("worktree", "list", "--porcelain").split("\n\n")) <= 1


AUTO = """
[fix]
mode = "auto"
"""
# The tests run before the stage that fails: a failure ends what goes on beside it, and then none would be counted.
REPORTING = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.unit]
run = "printf '<testsuite><testcase classname=\\"a\\" name=\\"b\\"/></testsuite>' > r.xml"
reports = { junit = ["r.xml"] }
[pipelines.build.stages.lint]
run = "! grep -rnP '\\t' --include=*.py src"
"""


def test_auto_moves_a_branch_that_nobody_has_checked_out(broken):
    """A command's proved fix is applied by itself to a topic branch, never to a protected one."""
    project = broken(AUTO, config=REPORTING)
    project.git("branch", "topic")
    tip = project.git("rev-parse", "topic")
    project.cicdctl("run", "build", "topic").fails(1)
    shown = json.loads(project.cicdctl("fix", "show", "1", "--json").passes().stdout)
    assert shown["verification"]["integrity"] == "ok"
    assert project.git("rev-parse", "topic") == project.git("rev-parse", "cicdctl/fix/1-lint") != tip
    project.cicdctl("fix", "undo", "1").passes()
    assert project.git("rev-parse", "topic") == tip

    run = project.cicdctl("run", "build", "main").fails(1)
    assert "fix ready" in run.stderr + run.stdout
    assert project.git("rev-parse", "main") == tip


def test_without_counted_tests_nothing_is_applied_by_itself(broken):
    project = broken(AUTO)
    project.git("branch", "topic")
    tip = project.git("rev-parse", "topic")
    project.cicdctl("run", "build", "topic").fails(1)
    assert project.git("rev-parse", "topic") == tip


def test_push_goes_to_the_fix_branch_only(broken, tmp_path):
    """With `push` in the operator's own file exactly the offered branch appears at the remote."""
    project = broken()
    remote = tmp_path / "remote.git"
    project.git("init", "-q", "--bare", str(remote))
    project.git("remote", "add", "origin", str(remote))
    (project.path / ".git/cicdctl").mkdir(mode=0o700, exist_ok=True)
    (project.path / ".git/cicdctl/config.toml").write_text("[fix]\npush = true\n")
    project.cicdctl("run", "build", "HEAD").fails(1)
    refs = project.git("--git-dir", str(remote), "for-each-ref", "--format=%(refname)").split()
    assert refs == ["refs/heads/cicdctl/fix/1-lint"]


def test_proof_as_a_note(broken):
    """With `notes` the digest goes where verdicts go, and disturbs nobody who reads those."""
    project = broken("[fix]\nnotes = true\n")
    project.cicdctl("run", "build", "HEAD").fails(1)
    note = json.loads(project.git("notes", "--ref", "cicdctl", "show", "cicdctl/fix/1-lint"))
    assert f"Cicdctl-Proof: {note['proof']}" in project.git("log", "-1", "--format=%B", "cicdctl/fix/1-lint")
    project.cicdctl("status", "cicdctl/fix/1-lint").passes()


def test_fix_that_nobody_can_make_leaves_nothing(broken):
    """It ends before anything is run, so there is no run that would release the pin of its base."""
    project = broken(fixer="")
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    project.cicdctl("fix", "1").fails(4)
    assert project.git("for-each-ref", "refs/cicd/keep") == ""


def test_password_of_a_remote_is_not_recorded(broken):
    """A record says whether the address has changed, and not what it is."""
    project = broken()
    project.git("remote", "add", "origin", "https://ada:sw0rdf1shes@example.test/shop.git")
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    document = json.loads(project.cicdctl("fix", "1", "--json").passes().stdout)
    assert document["push_url"].startswith("sha256:")
    assert "sw0rdf1shes" not in project.cicdctl("fix", "show", "1", "--json").passes().stdout
