"""Logs over HTTP: windows, search, the bytes themselves, and as they grow."""

from __future__ import annotations

import time

import pytest

from .conftest import operator_file, wait_for
from .test_api_reading import TRUSTED

CONFIG = r"""
[pipelines.build.stages]
many = "sh many.sh"
again = {{ run = "sh again.sh {folder}", retries = 1 }}
[pipelines.slow.stages]
wait = "sh slow.sh {folder}"
after = "echo after"
"""

FILES = {
    "many.sh": "for i in $(seq 0 499); do echo line $i; done\nprintf '\\033[31mred\\033[0m \\033]0;title\\007\\033[2J end'\n",
    "again.sh": "echo try\ntest -e $1/tried || { touch $1/tried; exit 9; }\n",
    "slow.sh": "printf 'one\\ntw'\nuntil test -e $1/go1; do sleep 0.02; done\nprintf 'o\\nthree \\303'\n"
    "until test -e $1/go2; do sleep 0.02; done\nprintf '\\251\\nend\\n'\n",
}


@pytest.fixture
def server(make_project, serve, tmp_path):
    project = make_project(CONFIG.format(folder=tmp_path), files=FILES)
    operator_file(project, TRUSTED)
    return serve(project)


def log_file(server, number: int, stage: str) -> bytes:
    """Return the bytes that are kept, of the newest attempt."""
    shown = server.ask("GET", f"/api/runs/{number}").json["stages"]
    [log] = [one["attempts"][-1]["log"] for one in shown if one["stage"] == stage]
    return (server.project.path / ".git" / "cicdctl" / log).read_bytes()


def test_window_search_and_bytes(server, tmp_path):
    """Any window from either end; nothing that a terminal obeys but colours; all attempts; the same log from the cache."""
    number = server.run(wait="end")
    log = f"/api/runs/{number}/stages/many/log"
    whole = server.ask("GET", f"{log}?lines=2000").json
    assert whole["lines"][:-1] == ["$ sh many.sh", *(f"line {i}" for i in range(500))]
    assert whole["lines"][-1] == "\x1b[31mred\x1b[0m  end\x1b[0m"
    assert (whole["total_lines"], whole["is_complete"], whole["open_line"]) == (502, True, True)
    assert (whole["attempt"], whole["attempts"], whole["from_line"]) == (1, 1, 0)
    assert len(whole["times"]) == 502 and whole["times"] == sorted(whole["times"])
    shown = server.ask("GET", f"/api/runs/{number}").json["stages"]
    [started_at] = [one["attempts"][0]["started_at"] for one in shown if one["stage"] == "many"]
    assert started_at - 1 < whole["opened_at"] <= whole["opened_at"] + whole["times"][-1] < time.time() + 1
    assert server.ask("GET", log).json["lines"] == whole["lines"][:200]
    assert server.ask("GET", f"{log}?from_line=250&lines=3").json["lines"] == ["line 249", "line 250", "line 251"]
    tail = server.ask("GET", f"{log}?from_line=-2&lines=10").json
    assert (tail["lines"], tail["from_line"]) == (whole["lines"][-2:], 500)
    beyond = server.ask("GET", f"{log}?from_line=9999").json
    assert (beyond["lines"], beyond["from_line"], beyond["open_line"]) == ([], 9999, False)
    assert server.ask("GET", f"{log}?q=line+49").json == {"matches": [50, *range(491, 501)], "is_complete": True}
    assert server.ask("GET", f"{log}?q=nothing").json == {"matches": [], "is_complete": True}

    kept = log_file(server, number, "many")
    raw = server.ask("GET", f"{log}/raw")
    assert (raw.body, raw.headers["content-type"]) == (kept, "text/plain; charset=utf-8")
    assert f'filename="run-{number}-many.1.log"' in raw.headers["content-disposition"]
    assert raw.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert raw.headers["x-content-type-options"] == "nosniff"
    size = len(kept)
    for given, wanted in (("0-3", kept[:4]), (f"{size - 2}-", kept[-2:]), ("-5", kept[-5:]), ("7-99999999", kept[7:])):
        part = server.ask("GET", f"{log}/raw", headers={"Range": f"bytes={given}"})
        assert (part.status, part.body) == (206, wanted), given
        assert part.headers["content-range"].endswith(f"/{size}")
    for given in ("bytes=5-2", "bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=x-y"):
        assert server.ask("GET", f"{log}/raw", headers={"Range": given}).status == 200
    for given in (f"bytes={size}-", f"bytes={size + 9}-{size + 20}", "bytes=-0"):
        refused = server.ask("GET", f"{log}/raw", headers={"Range": given})
        refused.is_refused(416, "range")
        assert refused.headers["content-range"] == f"bytes */{size}"

    tried = f"/api/runs/{number}/stages/again/log"
    assert server.ask("GET", tried).json["attempts"] == 2
    first = server.ask("GET", f"{tried}?attempt=1").json
    assert (first["attempt"], first["lines"], first["is_complete"]) == (1, [f"$ sh again.sh {tmp_path}", "try"], True)
    assert server.ask("GET", f"{tried}/raw?attempt=1").body.endswith(b"\ntry\n")
    server.ask("GET", f"{tried}?attempt=3").is_refused(404, "no_such_stage")

    cached = server.run(wait="end")
    again = server.ask("GET", f"/api/runs/{cached}/stages/many/log?lines=2000").json
    assert (again["attempt"], again["attempts"], again["lines"]) == (0, 0, whole["lines"])
    assert server.ask("GET", f"/api/runs/{cached}/stages/many/log/raw").body == kept


def test_what_has_no_log_is_refused(server):
    """A run, a stage or an attempt that is not there, a window that is too large, text that is no line."""
    number = server.run(wait="end")
    server.ask("GET", "/api/runs/9/stages/many/log").is_refused(404, "no_such_run")
    unknown = server.ask("GET", f"/api/runs/{number}/stages/mayn/log")
    unknown.is_refused(404, "no_such_stage")
    assert 'did you mean "many"' in unknown.json["error"]["message"]
    server.ask("GET", f"/api/runs/{number}/stages/mayn/log/raw").is_refused(404, "no_such_stage")
    server.ask("GET", f"/api/runs/{number}/stages/mayn/log/stream").is_refused(404, "no_such_stage")
    log = f"/api/runs/{number}/stages/many/log"
    for query in (
        "lines=2001",
        "lines=-1",
        "from_line=x",
        "attempt=-1",
        "lines=-1&q=a",
        "q=a%0Ab",
        "q=" + "a" * 1001,
        "line=1",
    ):
        server.ask("GET", f"{log}?{query}").is_refused(400, "query")
    for path in (server.project.path / ".git" / "cicdctl" / "logs" / str(number)).iterdir():
        path.unlink()
    # Its log is in the cache as well; that of an attempt which failed is not.
    assert server.ask("GET", f"{log}/raw").status == 200
    server.ask("GET", f"/api/runs/{number}/stages/again/log/raw?attempt=1").is_refused(404, "log_gone")


def test_log_grows_byte_by_byte_while_it_is_followed(server, tmp_path):
    """The stream ends with the attempt; its pieces are the log, also when it is cut and taken up again.

    A line without its end is told after a moment, half a character only when its other half has come.
    """
    number = server.run("slow", wait="start")
    log = f"/api/runs/{number}/stages/wait/log"
    head = f"$ sh slow.sh {tmp_path}\n".encode()
    begun = head + b"one\ntw"
    wait_for(lambda: server.ask("GET", log).json.get("size", 0) >= len(begun))
    growing = server.ask("GET", log).json
    assert (growing["lines"][1:], growing["is_complete"], growing["open_line"]) == (["one", "tw"], False, True)
    assert server.ask("GET", f"{log}/raw", headers={"Range": f"bytes={len(begun) - 4}-"}).body == b"e\ntw"
    server.ask("GET", f"{log}/raw", headers={"Range": f"bytes={len(begun)}-"}).is_refused(416, "range")

    told = b""
    with server.stream(f"{log}/stream") as events:
        for event in events:
            told += event.data["text"].encode()
            assert (event.kind, event.id, event.data["end"]) == ("log", str(len(told)), len(told))
            if told == begun:
                break
    (tmp_path / "go1").touch()
    with server.stream(f"{log}/stream?offset={len(told)}") as events:
        for event in events:
            assert event.data["offset"] == len(told)
            told += event.data["text"].encode()
            if told == begun + b"o\nthree ":
                break
    (tmp_path / "go2").touch()
    with server.stream(f"{log}/stream", last=str(len(told))) as events:
        rest = list(events)
    assert "".join(event.data["text"] for event in rest[:-1]) == "\u00e9\nend\n"
    whole = head + "one\ntwo\nthree \u00e9\nend\n".encode()
    assert (rest[-1].kind, rest[-1].data) == ("end", {"attempt": 1, "size": len(whole)})
    with server.stream(f"{log}/stream") as events:
        assert "".join(event.data.get("text", "") for event in events).encode() == whole
    server.wait_for_run(number)


def test_window_of_long_lines_has_a_limit(make_project, serve):
    """2,000 lines of 16 KB would be 32 MB, again and again, for each who asks; what is left out is asked for next."""
    project = make_project(unit="sh long.sh")
    project.write("long.sh", "for i in $(seq 0 399); do printf '%s%015999d\\n' $((i % 10)) 0; done\n")
    project.commit("long lines")
    server = serve(project)
    server.wait_for_run(server.run())
    whole: list[str] = []
    while len(whole) < 401:
        answer = server.ask("GET", f"/api/runs/1/stages/unit/log?lines=2000&from_line={len(whole)}")
        assert len(answer.body) < 4.5 * 2**20
        assert 0 < len(answer.json["lines"]) < 300 and answer.json["total_lines"] == 401
        whole += answer.json["lines"]
    assert whole[1:] == [f"{number % 10}{'0' * 15999}" for number in range(400)]
    assert len(server.ask("GET", "/api/runs/1/stages/unit/log?lines=100&from_line=-70").json["lines"]) == 70
