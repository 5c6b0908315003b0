"""What people and programs are told: live, plain, JSON, JUnit, colours and quiet."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from xml.etree import ElementTree

from cicdctl.reports.text import clean_line, quoted
from tests.commands.test_run import wait_for
from tests.conftest import marked_processes


def test_live_report_on_a_terminal(make_project):
    """On a terminal the finished stages scroll up with marks and colours, and the end stays on the screen."""
    project = make_project(lint="echo linting; sleep 0.3", unit="exit 2")
    screen, status = on_terminal(project, "run", "build")
    assert status == 1
    assert "✓" in screen and "✗" in screen and "\x1b[" in screen
    assert "again: cicdctl shell 1 unit" in screen and "#1 build failed" in screen


def test_no_color_leaves_no_colours(make_project):
    """NO_COLOR and --no-color: words and marks stay, colours go."""
    project = make_project(unit="true")
    screen, _ = on_terminal(project, "--no-color", "run", "build")
    assert "\x1b[32m" not in screen and "passed" in screen
    project.env["NO_COLOR"] = "1"
    screen, _ = on_terminal(project, "run", "build")
    assert "\x1b[32m" not in screen and "cached" in screen


def on_terminal(project, *argv: str) -> tuple[str, int]:
    """Run cicdctl with a pseudo terminal of 100 columns as its stdout."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cicdctl", *argv],
        cwd=project.path,
        env=project.env | {"TERM": "xterm-256color", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    screen = b""
    while True:
        ready, _, _ = select.select([ours], [], [], 30)
        assert ready, "nothing for 30 s"
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not chunk:
            break
        screen += chunk
    os.close(ours)
    return screen.decode("utf-8", "replace"), process.wait()


def test_quiet_says_only_how_it_ended(make_project):
    """-q prints the last line, and failures."""
    project = make_project(unit="true")
    shown = project.cicdctl("-q", "run", "build").passes().stdout.splitlines()
    assert len(shown) == 1 and shown[0].startswith("#1 build passed")


def test_verbose_streams_whole_lines_with_the_stage_before_them(make_project):
    """-v shows output as it comes, on stderr."""
    project = make_project(unit="printf 'one\\ntwo'")
    told = project.cicdctl("-v", "run", "build").passes()
    assert "unit | one\n" in told.stderr and "unit | two\n" in told.stderr and "unit | one" not in told.stdout


def test_junit_export_and_event_stream(make_project, tmp_path):
    """--junit writes a report other tools read; --events writes a line of JSON per event."""
    project = make_project(good="true", bad="exit 3")
    project.cicdctl("run", "build", "--junit", "out/report.xml", "--events", "events.jsonl").fails(1)
    suite = ElementTree.parse(project.path / "out/report.xml").getroot().find("testsuite")
    assert suite is not None and (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.get("name") for case in suite.iter("testcase")] == ["good", "bad"]
    events = [json.loads(line) for line in (project.path / "events.jsonl").read_text().splitlines()]
    assert events[0]["event"] == "run_started" and events[-1] == {
        **events[-1],
        "event": "run_finished",
        "verdict": "failed",
    }


def test_every_look_has_json(make_project):
    """Each command that shows something prints one versioned document with --json."""
    project = make_project(unit="echo x > out")
    project.cicdctl("run", "build").passes()
    looks = (
        ["status"],
        ["history"],
        ["show", "1"],
        ["logs", "1", "unit"],
        ["artifacts", "1"],
        ["plan", "build"],
        ["explain", "build", "unit"],
        ["cache", "stats"],
        ["cache", "gc", "--dry-run"],
        ["cache", "verify"],
        ["secrets", "list"],
        ["plugins", "list"],
        ["doctor"],
        ["config", "validate"],
        ["config", "show"],
        ["config", "show", "--resolved"],
    )
    for argv in looks:
        document = json.loads(project.cicdctl(*argv, "--json").passes().stdout)
        assert document["version"] == 1 and document["kind"], argv


def test_artifacts_are_written_out_byte_for_byte(make_project, tmp_path):
    """artifacts --to lays down files, modes and links as the stage left them."""
    config = """
[pipelines.build.stages.make]
run = "mkdir out; printf 'a\\\\0b' > out/data; printf x > out/tool; chmod +x out/tool; ln -s data out/link"
artifacts = ["out/**"]
"""
    project = make_project(config)
    project.cicdctl("run", "build").passes()
    project.cicdctl("artifacts", "1", "--to", str(tmp_path / "here")).passes()
    out = tmp_path / "here/out"
    assert (out / "data").read_bytes() == b"a\0b" and os.access(out / "tool", os.X_OK)
    assert os.readlink(out / "link") == "data"


def test_cache_is_cleared_only_when_asked_twice(make_project):
    """cache clear asks; --yes does not; afterwards everything runs again."""
    project = make_project(unit="true")
    project.cicdctl("run", "build").passes()
    assert project.cicdctl("cache", "clear", stdin="n\n").status != 0
    assert "unit  cached" in project.cicdctl("run", "build").passes().stdout
    project.cicdctl("cache", "clear", "--yes").passes()
    assert "unit  passed" in project.cicdctl("run", "build").passes().stdout


def test_follow_shows_lines_as_they_come_and_ends_with_the_run(make_project):
    """logs -f on a run that goes on prints whole lines until it ends."""
    project = make_project(unit="for i in 1 2 3; do echo line $i; sleep 0.3; done")
    project.cicdctl("run", "build", "--detach").passes()
    followed = project.cicdctl("logs", "1", "unit", "-f").passes().stdout
    assert "line 1\nline 2\nline 3\n" in followed
    # A run is told as ended a moment before its runner is gone.
    wait_for(lambda: not marked_processes(str(project.path.parent).encode()))


def test_foreign_text_is_made_harmless():
    """Titles, links, clipboards, cursor moves and hidden directions never reach a terminal."""
    hostile = b"\x1b]0;title\x07a\x1b[2Jb\x1b]52;c;aGk=\x1b\\c\xc2\x9bd\xe2\x80\xaee\x07\x1b[31mred"
    assert clean_line(hostile) == "abcdered"
    assert clean_line(b"\x1b[31mred", keep_colors=True) == "\x1b[31mred\x1b[0m"
    assert clean_line(b"50%\r100%\r\n") == "100%"
    assert quoted("a\nb\x1b[m") == "a\\nb\\x1b[m"
    assert len(quoted("x" * 500)) == 200
