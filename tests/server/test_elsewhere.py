"""The command line asks a server as it asks a repository here: same words, same exit codes, same output."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from cicdctl.remote.client import PART_BYTES

from .conftest import wait_for

CONFIG = """
[pipelines.build.stages]
lint = "printf 'all \\\\033[32mfine\\\\033[0m\\n'"
unit = "echo one; echo two; test ! -e bad || { echo 'it is bad'; exit 3; }"
[pipelines.slow.stages]
wait = "for i in 1 2 3 4 5 6; do echo line $i; sleep 0.3; done"
[pipelines.endless.stages]
wait = "echo line 1; echo line 2; sleep 300"
[pipelines.again.stages.unit]
run = "echo one; sleep 3; echo two; exit 1"
retries = 1
[pipelines.large.stages]
unit = "seq 1400000"
[pipelines.ship]
approval = true
[pipelines.ship.stages]
ship = "true"
[pipelines.cells.stages.unit]
matrix = { path = ["./a//b", "c"] }
run = "echo $CICD_MATRIX_PATH"
"""


class Elsewhere:
    """The command line in a folder that is no repository, with the server and a token in its environment."""

    def __init__(self, server, folder) -> None:
        self.server = server
        self.folder = folder
        folder.mkdir()
        token = server.token("admin")
        self.env = {**server.project.env, "CICDCTL_SERVER": server.url, "CICDCTL_TOKEN": token}

    def start(self, *argv: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "cicdctl", *argv],
            cwd=self.folder,
            env=self.env | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def cicdctl(self, *argv: str, status: int = 0, env: dict[str, str] | None = None) -> str:
        process = self.start(*argv, env=env)
        out, error = process.communicate(timeout=60)
        assert process.returncode == status, (out, error)
        assert "Traceback" not in error
        return out if status == 0 or out else error


@pytest.fixture
def elsewhere(make_project, serve, tmp_path):
    return Elsewhere(serve(make_project(CONFIG)), tmp_path / "elsewhere")


def without_times(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?(ms|s|m\d\ds)\b", "TIME", text)


def test_same_output_as_on_the_spot(elsewhere):
    """Whatever looks at a run says the same from both sides; a failing run has its tail and exit status."""
    project = elsewhere.server.project
    said = elsewhere.cicdctl("run", "build")
    assert re.search(r"lint +passed", said) and re.search(r"unit +passed", said) and "#1 build passed" in said
    project.write("bad", "")
    project.commit("bad")
    said = elsewhere.cicdctl("run", "build", status=1)
    assert "it is bad" in said and "unit" in said and "exit 3" in said

    for command in (
        ("history",),
        ("history", "build", "--verdict", "failed"),
        ("show", "1"),
        ("show", "2", "--json"),
        ("show", "1", "--json"),
        ("status", "--json"),
        ("logs", "2", "unit"),
        ("logs", "2", "unit", "--tail", "1"),
        ("logs", "1", "lint", "--raw"),
        ("logs", "2", "unit", "--grep", "bad"),
        ("logs", "2", "lint"),
        ("logs", "2", "lint", "-f", "--tail", "5"),
    ):
        here = project.cicdctl(*command).passes().stdout
        there = elsewhere.cicdctl(*command)
        if command[0] == "show" and "--json" not in command:
            assert without_times(there) == without_times(here)
        elif command[:1] == ("status",) or "--json" in command:
            assert same_facts(there) == same_facts(here), command
        else:
            assert without_times(there) == without_times(here), command


def same_facts(text: str):
    """Return a document without the places of files and times that pass."""

    def bare(value):
        if isinstance(value, dict):
            return {
                name: bare(part)
                for name, part in value.items()
                if name not in ("log", "path", "seconds", "enforced_by", "outputs")
            }
        return [bare(one) for one in value] if isinstance(value, list) else value

    return bare(json.loads(text))


def test_log_is_followed_as_it_grows(elsewhere):
    """`logs -f` shows lines while the stage runs, and every line once, whatever becomes of it."""
    number = re.search(r"#(\d+)", elsewhere.cicdctl("trigger", "endless", "--wait", "start"))[1]
    process = elsewhere.start("logs", number, "wait", "-f")
    said = [process.stdout.readline() for _ in range(3)]
    assert said[1:] == ["line 1\n", "line 2\n"]
    last = elsewhere.start("logs", number, "wait", "-f", "--tail", "1")
    assert last.stdout.readline() == "line 2\n"
    assert json.loads(elsewhere.cicdctl("show", number, "--json"))["run"]["verdict"] is None
    elsewhere.cicdctl("cancel", number)
    out, _ = process.communicate(timeout=60)
    assert "line" not in out
    assert process.returncode == 0
    assert (last.communicate(timeout=60)[0], last.returncode) == ("", 0)


@pytest.mark.parametrize("options", [(), pytest.param(("--raw",), marks=pytest.mark.campaign)])
def test_followed_log_goes_on_after_a_restart_of_the_server(elsewhere, options):
    """Every line of every attempt once, in order; over one stream that is taken up again, or by looking (`--raw`)."""
    server = elsewhere.server
    elsewhere.cicdctl("trigger", "again", "--wait", "start")
    process = elsewhere.start("logs", "1", "unit", "-f", *options)
    said = [process.stdout.readline() for _ in range(2)]
    if not options:
        wait_for(lambda: "cicdctl_watchers 1\n" in server.ask("GET", "/metrics").text)
    server.stop()
    again = server.project.start("serve", "--port", str(server.port))
    try:
        assert "serving" in again.stdout.readline()
        out, error = process.communicate(timeout=60)
        assert process.returncode == 0, (out, error)
        here = [server.project.cicdctl("logs", "1", "unit", "--attempt", str(n)).passes().stdout for n in (1, 2)]
        assert "".join(said) + out == "".join(here) and here[0].endswith("one\ntwo\n")
        assert "unit: attempt 2" in error and re.search("unit +failed", error)
    finally:
        again.send_signal(signal.SIGTERM)
        again.communicate(timeout=20)


def test_run_survives_a_restart_of_the_server(elsewhere, serve):
    """Whoever follows a run waits for the server to come back, and gets the verdict."""
    server = elsewhere.server
    process = elsewhere.start("run", "slow")
    process.stdout.readline()
    server.stop()
    again = server.project.start("serve", "--port", str(server.port))
    try:
        assert "serving" in again.stdout.readline()
        out, error = process.communicate(timeout=60)
        assert process.returncode == 0, (out, error)
        assert "passed" in out
    finally:
        again.send_signal(signal.SIGTERM)
        again.communicate(timeout=20)


def test_cells_with_names_that_no_address_holds(elsewhere):
    elsewhere.cicdctl("run", "cells")
    assert elsewhere.cicdctl("logs", "1", "unit[path=./a//b]").endswith("./a//b\n")


def test_cancel_and_rerun(elsewhere):
    number = elsewhere.cicdctl("run", "slow", "--detach").strip().removeprefix("#")
    assert f"#{number} cancelled" in elsewhere.cicdctl("cancel", number)
    assert "passed" in elsewhere.cicdctl("rerun", number)
    assert "passed" in elsewhere.cicdctl("rerun")


def test_large_log_comes_in_parts(elsewhere):
    """Every byte of it, once; parts are smaller than it."""
    elsewhere.cicdctl("trigger", "large", "--wait", "end")
    here = elsewhere.server.project.cicdctl("logs", "1", "unit", "--raw").passes().stdout
    assert len(here) > 2 * PART_BYTES
    assert elsewhere.cicdctl("logs", "1", "unit", "--raw") == here


def test_refusals_and_notices_are_those_on_the_spot(elsewhere):
    """What cannot be done is refused with the same words and exit status; so is told what was done."""
    project = elsewhere.server.project
    elsewhere.cicdctl("run", "build")
    going = elsewhere.cicdctl("trigger", "endless", "--wait", "start").split()[0].removeprefix("#")

    def both(*argv: str) -> tuple[int, str, str]:
        """Do the same here and there, and return what is said."""
        here = project.cicdctl(*argv)
        process = elsewhere.start(*argv)
        out, error = process.communicate(timeout=60)
        found = [(here.status, here.stdout, here.stderr), (process.returncode, out, error)]
        first, second = ((status, *(re.sub(r"(#|show |approve )\d+", r"\1N", text) for text in said)) for status, *said in found)
        assert first == second, argv
        return second

    for argv, status in (
        (("cancel", "1"), 2),
        (("resume", "1"), 2),
        (("approve", "1"), 2),
        (("rerun", going), 2),
        (("logs", "1", "untit"), 2),
        (("logs", "1", "unit", "--attempt", "7"), 2),
        (("trigger", "build", "-p", "level=1"), 2),
        (("trigger", "ship"), 0),
        (("trigger", "ship", "--wait", "start"), 6),
        (("pause",), 0),
        (("trigger", "build", "--wait", "end"), 6),
    ):
        if argv == ("pause",):
            assert elsewhere.cicdctl("pause") == "the queue is paused: 4 runs waiting\n"
        assert both(*argv)[0] == status, argv
    assert "is paused" in elsewhere.cicdctl("run", "build", status=6)
    assert "#10 waits for an approval" in elsewhere.cicdctl("run", "ship", status=6)
    approved = [project.cicdctl("approve", "3").passes().stdout, elsewhere.cicdctl("approve", "4")]
    assert approved == ["#3 ship approved\n", "#4 ship approved\n"]
    cancelled = [project.cicdctl("cancel", "5").passes().stdout, elsewhere.cicdctl("cancel", "6")]
    assert cancelled == ["#5 cancelled before it started\n", "#6 cancelled before it started\n"]
    elsewhere.cicdctl("cancel", going)
    assert elsewhere.cicdctl("resume").startswith("the queue goes on: ")
    assert both("resume")[:2] == (0, "the queue is not paused\n")
    for number in (3, 4, 7, 8):
        elsewhere.server.wait_for_run(number)


def test_errors_say_what_to_do(elsewhere, tmp_path):
    """No server, no token, a token that may not, a pipeline that is not there, a command that needs a repository."""
    assert "does not answer" in elsewhere.cicdctl("status", status=3, env={"CICDCTL_SERVER": "http://127.0.0.1:9"})
    open_way = elsewhere.cicdctl("status", status=3, env={"CICDCTL_SERVER": "http://ci.example.invalid"})
    assert "CICDCTL_TOKEN travels in the open to http://ci.example.invalid" in open_way
    assert "in the open" not in elsewhere.cicdctl("status", status=3, env={"CICDCTL_SERVER": "http://127.0.0.1:9"})
    assert "no address of a server" in elsewhere.cicdctl("status", status=2, env={"CICDCTL_SERVER": "ftp://x"})
    assert "holds no user" in elsewhere.cicdctl("status", status=2, env={"CICDCTL_SERVER": "http://me:pw@x/"})
    assert "CICDCTL_TOKEN" in elsewhere.cicdctl("run", "build", status=2, env={"CICDCTL_TOKEN": ""})
    reader = elsewhere.server.token("read", name="reader")
    assert 'does not grant "trigger"' in elsewhere.cicdctl("run", "build", status=2, env={"CICDCTL_TOKEN": reader})
    said = elsewhere.cicdctl("run", "biuld", status=2)
    assert "biuld" in said and "build" in said
    assert "works on a repository here" in elsewhere.cicdctl("--server", elsewhere.server.url, "watch", status=2)
    assert "--stage cannot be used with --server" in elsewhere.cicdctl("run", "build", "--stage", "lint", status=2)
    assert "there is no run #99" in elsewhere.cicdctl("show", "99", status=3)


def test_hostile_server_writes_nowhere_else(elsewhere, tmp_path):
    """Paths, escapes and sizes that a server tells are not believed."""
    import http.server
    import threading

    run = {"number": 1, "pipeline": "build", "commit": "a" * 40, "tree": "b" * 40, "trigger": "manual", "state": "done"}
    run |= {"verdict": "failed", "message": "\x1b]52;c;aGk=\x07", "stage_names": ["../../../../x"]}
    stage = {"stage": "../../../../x", "verdict": "failed", "log": "../../../../../etc/x"}
    stage |= {"attempts": [{"number": 1, "verdict": "failed", "log": "/tmp/evil"}]}

    class Evil(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"pwned\x1b]0;title\x07\n" if "/log/" in self.path else json.dumps({"run": run, "stages": [stage]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    evil = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    thread = threading.Thread(target=evil.serve_forever)
    thread.start()
    try:
        before = time.time()
        said = elsewhere.cicdctl("show", "1", env={"CICDCTL_SERVER": f"http://127.0.0.1:{evil.server_port}"})
    finally:
        evil.shutdown()
        thread.join()
        evil.server_close()
    assert "pwned" in said and "\x1b" not in said
    assert not os.path.exists("/tmp/evil") and not os.path.exists("/etc/x")
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_mtime > before and "evil" in path.name] == []
