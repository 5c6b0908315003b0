"""Every address against what has befallen other servers. The numbers are those of the table of docs/security.md."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from cicdctl.server.routes import ROUTES

# What anybody may ask where the server listens for others. Webhooks demand a proof of their own.
FOR_ANYBODY = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/badge/{pipeline}.svg"),
    ("GET", "/static/{name}"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/logout"),
}
VALUES = {
    "number:int": "1",
    "pipeline": "build",
    "stage": "unit",
    "stage:path": "unit",
    "name": "cicdctl.css",
    "digest": "a" * 64,
    "forge": "github",
}
EVIL_BRANCH = "feature/a;b$(id)<img/src=x/onerror=alert(1)>"
NAMED = r'''
[pipelines.build]
trigger = "manual"
[pipelines.build.params.text]
default = ""
[pipelines.build.stages.unit]
run = 'printf %s "$CICD_PARAM_TEXT" | od -An -v -tx1 | tr -d " \n"'
'''


def path_of(route) -> str:
    return re.sub(r"\{([^}]+)\}", lambda match: VALUES.get(match[1], "x"), route.path)


@pytest.fixture
def server(make_project, serve):
    return serve(make_project(NAMED))


def run_once(server, token, **params: str) -> int:
    answer = server.ask("POST", "/trigger/build", token=token, json_body={"params": params})
    assert answer.status == 202, answer.text
    number = answer.json["run"]["number"]
    end = time.monotonic() + 60
    while (verdict := server.ask("GET", f"/api/runs/{number}", token=token).json["run"]["verdict"]) is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert verdict == "passed"
    return number


def test_nobody_comes_in_where_others_can_reach(make_project, serve):
    """A way around the door (CVE-2024-27198, CVE-2023-42793): who has no token gets 401 everywhere but where all may."""
    project = make_project(NAMED)
    project.cicdctl("token", "create", "one", "--scope", "read").passes()
    server = serve(project, "--host", "0.0.0.0")
    for route in ROUTES:
        path = path_of(route)
        if (route.method, route.path) in FOR_ANYBODY:
            assert server.ask(route.method, path).status not in (401, 405), path
            continue
        if route.scope == "proof":
            assert server.ask(route.method, path, json_body={}).status in (401, 404), path
            continue
        for header in ({}, {"Authorization": "Bearer "}, {"Authorization": "Basic YTpi"}, {"Cookie": "cicd=x"}):
            answer = server.ask(route.method, path, headers=header)
            # People are led to the login, which is an answer of its own.
            assert answer.status == 401 or (route.is_page and answer.headers.get("location", "").startswith("/login")), path
        for odd in (f"/{path}", f"{path};.css", f"{path}/..%2f", f"/x/..{path}", f"{path}%00"):
            assert server.ask(route.method, odd).status == 404, odd


def test_what_changes_something_is_never_read(server):
    """A link or a picture starts nothing (Jenkins, CVE-2022-36882): each of these is POST and nothing else."""
    token = server.token("admin")
    only_posted = {path_of(route) for route in ROUTES if route.method == "POST"} - {
        path_of(route) for route in ROUTES if route.method == "GET"
    }
    assert "/trigger/build" in only_posted
    for path in only_posted:
        for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = server.ask(method, path, token=token)
            assert (answer.status, answer.headers["allow"]) == (405, "POST"), (method, path)


def test_pipelines_cannot_be_guessed(server):
    """Who may not start it is told the same of a pipeline that is not there."""
    token = server.token("trigger:other")
    there = server.ask("POST", "/trigger/build", token=token)
    nowhere = server.ask("POST", "/trigger/nowhere", token=token)
    assert there.status == nowhere.status == 403
    assert there.text.replace("build", "*") == nowhere.text.replace("nowhere", "*")
    assert server.ask("POST", "/trigger/build").text == server.ask("POST", "/trigger/nowhere").text


@pytest.mark.parametrize("text", ["@/etc/passwd", "$HOME `id` $(id)", "*", "%(x)s {0} {{7*7}} ${7*7}", "-rf\n--x\r\x1b[2J"])
def test_texts_stay_texts(server, text):
    """Nothing expands files, variables or globs (CVE-2024-23897)."""
    token = server.token("trigger", "read")
    number = run_once(server, token, text=text)
    log = server.ask("GET", f"/api/runs/{number}/stages/unit/log", token=token).json
    assert log["lines"][-1] == text.encode().hex()


BODIES = {
    "nested": b'{"params":' + b"[" * 30_000,
    "nested and closed": b'{"params":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "long integer": b'{"wait":' + b"9" * 5_000 + b"}",
    "long exponent": b'{"wait":1e999999999}',
    "not UTF-8": b'{"rev":"\xff\xfe"}',
    "lone surrogate": b'{"rev":"\\ud800"}',
    "NaN": b'{"rev":NaN}',
    "not an object": b"[]",
    "unknown field": b'{"revision":"HEAD"}',
    "cut": b'{"rev":"HE',
    "NUL": b'{"rev":"HEAD\\u0000"}',
    "option": b'{"rev":"--upload-pack=touch x"}',
}


def test_bodies_that_break_parsers_are_refused(server):
    """Deep, long and broken JSON is 400 and what is too large 413; the server goes on."""
    token = server.token("admin")
    for name, body in BODIES.items():
        answer = server.ask("POST", "/trigger/build", token=token, body=body, headers={"Content-Type": "application/json"})
        assert answer.status in (400, 404, 422), (name, answer.status, answer.text)
        assert answer.json["error"]["message"], name
    server.ask("POST", "/trigger/build", token=token, json_body={"rev": "x" * 100_000}).is_refused(413, "too_large")
    posts = [path_of(route) for route in ROUTES if route.method == "POST" and route.path.startswith("/api/")]
    for path in posts:
        for name in ("nested", "not UTF-8", "not an object", "cut"):
            answer = server.ask("POST", path, token=token, body=BODIES[name], headers={"Content-Type": "application/json"})
            assert answer.status in (400, 404), (path, name, answer.status)
    assert server.ask("GET", "/api/runs").json["runs"] == []
    assert server.ask("GET", "/healthz").status == 200


STEPS = ["..%2f..%2f..%2fetc%2fpasswd", "..%5c..%5cwin.ini", "%2e%2e/%2e%2e/etc/passwd", "unit%00", "\u2024\u2024/x", "....//x"]


def test_paths_lead_nowhere_else(server):
    """Logs, artifacts and static files come from where they are kept and from nowhere else."""
    token = server.token("trigger", "read")
    number = run_once(server, token, text="x")
    for step in STEPS:
        for path in (
            f"/api/runs/{number}/stages/{step}/log",
            f"/api/runs/{number}/stages/{step}/log/raw",
            f"/api/artifacts/{step}",
            f"/static/{step}",
            f"/badge/{step}.svg",
            f"/api/fixes/{number}/{step}",
            f"/p/{step}",
        ):
            answer = server.ask("GET", re.sub(r"[^\x21-\x7e]", lambda m: "%E2%80%A4", path))
            assert answer.status in (400, 404) or path.startswith("/badge"), (path, answer.status)
            assert b"root:" not in answer.body


def test_link_in_the_place_of_a_log_is_not_followed(server, tmp_path):
    """Whoever can write the state folder does not read with the rights of the server through it."""
    token = server.token("trigger", "read")
    number = run_once(server, token, text="x")
    state = Path(server.project.git("rev-parse", "--absolute-git-dir"), "cicdctl")
    canary = tmp_path / "canary"
    canary.write_text("root:canary\n" * 10)
    logs = [path for path in state.rglob("*") if path.is_file() and path.read_bytes().endswith(b"\n78")]
    assert logs
    for path in logs:
        path.unlink()
        path.symlink_to(canary)
    for path in (f"/api/runs/{number}/stages/unit/log", f"/api/runs/{number}/stages/unit/log/raw", f"/r/{number}/s/unit"):
        assert b"canary" not in server.ask("GET", path, token=token).body


def test_tokens_are_in_no_command_line(make_project, serve):
    """Neither a token nor a secret of the server is among the words, or in the environment, of what it starts."""
    project = make_project(NAMED.replace("run = 'printf", "run = 'sleep 3.25; printf"))
    server = serve(project)
    token = server.token("trigger", "read")
    number = server.ask("POST", "/trigger/build", token=token, json_body={"params": {"text": "x"}}).json["run"]["number"]
    stage_was_seen = False
    end = time.monotonic() + 60
    while server.ask("GET", f"/api/runs/{number}", token=token).json["run"]["verdict"] is None and time.monotonic() < end:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words, env = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            except OSError:
                continue
            assert token.encode() not in words + env
            stage_was_seen = stage_was_seen or words == b"sleep\0003.25\0"
        time.sleep(0.02)
    assert stage_was_seen


def test_names_are_inert_on_every_page(make_project, serve):
    """A branch named like a command and like markup is shown as text, wherever it is shown."""
    project = make_project(NAMED)
    project.git("checkout", "-qb", EVIL_BRANCH)
    project.git("commit", "-q", "--allow-empty", "-m", "<img src=x onerror=alert(2)> \x1b]52;c;aGk=\x07")
    server = serve(project)
    token = server.token("admin")
    number = run_once(server, token, text="<script>alert(3)</script>")
    shown = 0
    for route in ROUTES:
        path = path_of(route).replace("/1", f"/{number}")
        if route.method != "GET" or "events" in path or path.endswith("/stream"):
            continue
        answer = server.ask("GET", path, token=token)
        assert answer.status < 500, path
        kind = answer.headers["content-type"].partition(";")[0]
        if kind in ("text/html", "image/svg+xml"):
            assert not re.search(rb"<img[ /]src=x|<script>alert|\x1b|\x07", answer.body), path
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")
            shown += EVIL_BRANCH.split("<")[0].encode() in answer.body.replace(b"&#36;", b"$")
        elif kind == "application/json":
            json.loads(answer.body)
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in answer.headers
    assert shown, "no page shows the branch"
