"""Verdicts that travel with the repository: written as notes, fetched, and shown."""

from __future__ import annotations

import json

import jsonschema
import pytest

from tests.notifiers.conftest import wait_empty, wait_until

NOTES = '[notifiers.notes]\nuses = "git-notes"\n'

# https://github.com/google/git-appraise/blob/master/schema/ci.json
APPRAISE = {
    "type": "object",
    "properties": {
        "timestamp": {"type": "string", "minLength": 10, "maxLength": 10, "pattern": "[0-9]{10,10}"},
        "agent": {"type": "string"},
        "status": {"type": "string", "enum": ["success", "failure"]},
        "url": {"type": "string"},
        "v": {"type": "integer", "enum": [0]},
    },
    "required": ["timestamp", "agent"],
}


@pytest.fixture
def project(make_project, operate):
    operate(NOTES)
    return make_project(unit="test -f ok")


def noted(project, revision="HEAD") -> list[dict]:
    wait_empty(project)
    return [json.loads(line) for line in project.git("notes", "--ref", "cicdctl", "show", revision).splitlines()]


def test_each_run_leaves_a_line(project):
    """Every run of a commit, whatever `on` says, in lines that git-appraise understands; none of work in progress."""
    for _ in range(2):
        project.cicdctl("run", "build").fails(1)
        wait_until(lambda: project.git("for-each-ref", "refs/notes/cicdctl"))
        wait_empty(project)
    first, second = noted(project)
    jsonschema.validate(first, APPRAISE)
    assert (first["pipeline"], first["verdict"], first["status"], first["run"]) == ("build", "failed", "failure", 1)
    assert second["run"] == 2 and first["tree"] == project.git("rev-parse", "HEAD^{tree}")
    project.write("ok", "")
    project.cicdctl("run", "build").passes()
    wait_empty(project)
    assert project.git("rev-list", "--count", "refs/notes/cicdctl") == "2"


def test_status_reads_verdicts_that_were_fetched(project, make_project, tmp_path):
    """A clone without a single run shows how each commit went elsewhere, and says from where it knows."""
    project.cicdctl("run", "build").fails(1)
    wait_until(lambda: project.git("for-each-ref", "refs/notes/cicdctl"))
    project.write("ok", "")
    project.commit("repair <&\x1b[31m")
    project.cicdctl("run", "build").passes()
    wait_empty(project)
    project.commit("later")
    clone = make_project(unit="true")
    clone.git("remote", "add", "origin", str(project.path))
    clone.git("fetch", "-q", "origin", "main", "refs/notes/cicdctl:refs/notes/origin/cicdctl")
    shown = clone.cicdctl("status", "FETCH_HEAD~2..FETCH_HEAD").passes().stdout.splitlines()
    assert [line[12:] for line in shown] == ["✓ build passed (origin/cicdctl)  repair <&\\x1b[31m", "-  later"]
    (known,) = json.loads(clone.cicdctl("status", "FETCH_HEAD~2", "--json").passes().stdout)["commits"]
    assert known["verdicts"][0] | {"verdict": "failed", "source": "refs/notes/origin/cicdctl"} == known["verdicts"][0]
    own = project.cicdctl("status", "HEAD~1").passes().stdout
    assert "✓ build passed #2  repair" in own
    assert "no such revision" in clone.cicdctl("status", "nowhere..").fails(3).stderr


def test_foreign_lines_do_no_harm(project):
    """Notes may be anybody's: what is no line of ours is passed over, and names are shown with care."""
    lines = [
        "plain words",
        '{"pipeline": 3}',
        "[" * 100_000,
        '{"pipeline":"x","verdict":"great","timestamp":"1"}',
        '{"pipeline":"x","verdict":"passed","timestamp":"soon"}',
        '{"pipeline":"a\\u001b[2J","verdict":"passed","timestamp":"1700000000"}',
        '{"pipeline":"old","verdict":"passed","timestamp":"1700000000"}',
        '{"pipeline":"old","verdict":"failed","timestamp":"1700000001"}',
    ]
    project.git("notes", "--ref", "cicdctl", "add", "-F", "-", "HEAD", stdin="\n".join(lines))
    shown = project.cicdctl("status", "HEAD").passes().stdout
    assert "✓ a\\x1b[2J passed (cicdctl)  ✗ old failed (cicdctl)  first" in shown


def test_run_goes_on_where_no_note_can_be_written(project):
    """A ref that is in use by something else is an error of the notifier, told in its list."""
    project.git("update-ref", "refs/notes/cicdctl", project.git("hash-object", "-w", "--stdin", stdin="x"))
    project.cicdctl("run", "build").fails(1)
    (letter,) = wait_until(
        lambda: [
            one
            for one in json.loads(project.cicdctl("notify", "list", "--json").passes().stdout)["letters"]
            if one["error"]
        ]
    )
    assert letter["tries"] >= 1 and not letter["failed_at"]
    project.git("update-ref", "-d", "refs/notes/cicdctl")
    wait_empty(project)
    assert noted(project)[0]["run"] == 1
