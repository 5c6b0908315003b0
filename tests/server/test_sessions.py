"""Who was let in once: which cookie is believed, and how soon a stream ends for whom it is not any more."""

from __future__ import annotations

import http.client
import signal
from contextlib import closing
from urllib.parse import urlencode

import pytest

from cicdctl.store.tokens import open_tokens

from .conftest import operator_file, wait_for

CONFIG = """
[pipelines.build.stages]
unit = "true"
[pipelines.endless.stages]
wait = "while :; do echo line; sleep 0.05; done"
"""
SETTINGS = """
[server]
anonymous = "none"
proxies = ["127.0.0.1"]
hosts = ["ci.example.org"]
"""
HTTPS = {"X-Forwarded-Proto": "https"}


@pytest.fixture
def server(make_project, serve):
    project = make_project(CONFIG)
    operator_file(project, SETTINGS)
    return serve(project)


def log_in(server, **headers: str) -> tuple[str, str]:
    """Return name and value of the cookie that begins a session."""
    form = urlencode({"token": server.token("admin")})
    answer = server.ask("POST", "/login", body=form.encode(), headers={"Sec-Fetch-Site": "same-origin", **headers})
    assert answer.status == 303, answer.text
    name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
    return name, value


def is_believed(server, cookie: str, value: str, **headers: str) -> bool:
    return server.ask("GET", "/api/runs", headers={**headers, "Cookie": f"{cookie}={value}"}).status == 200


def test_one_cookie_is_believed(server):
    """Over https nobody's session comes by the plain cookie, which others may set there, and the other way round."""
    for headers, name, other in ((HTTPS, "__Host-cicd", "cicd"), ({}, "cicd", "__Host-cicd")):
        given, value = log_in(server, **headers)
        assert given == name
        assert is_believed(server, name, value, **headers)
        assert not is_believed(server, other, value, **headers)


def test_address_of_the_server_says_that_it_is_https(server):
    """Behind a proxy that is not named nobody sees that people come over https, but the address of the server does."""
    named = {"Host": "ci.example.org"}
    assert log_in(server, **named)[0] == "cicd"
    operator_file(server.project, SETTINGS + 'url = "https://ci.example.org"\n')
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: log_in(server, **named)[0] == "__Host-cicd")
    name, value = log_in(server, **named)
    assert is_believed(server, name, value, **named) and not is_believed(server, "cicd", value, **named)
    assert log_in(server)[0] == "cicd"


def test_only_badges_are_for_other_sites(server):
    """A foreign page that loads something from here as a picture or a script gets nothing of it, but for badges."""
    policy = "cross-origin-resource-policy"
    for path in ("/api/runs", "/static/cicdctl.css", "/login", "/nowhere"):
        assert server.ask("GET", path).headers[policy] == "same-origin"
    assert server.ask("GET", "/badge/build.svg").headers[policy] == "cross-origin"


def test_form_with_many_fields_is_refused(server):
    form = "&".join(f"a{number}=1" for number in range(50)).encode()
    answer = server.ask("POST", "/login", body=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status == 400


@pytest.mark.parametrize(
    ("way", "path"),
    [
        ("token revoked", "/api/runs/1/stages/wait/log/stream"),
        ("logged out", "/api/events?run=1&stage=wait"),
    ],
)
def test_stream_ends_with_what_opened_it(server, way, path):
    """Who is not let in any more sees no more of what goes on, either."""
    assert server.run("endless", wait="start") == 1
    name, value = log_in(server)
    session = {"Cookie": f"{name}={value}"}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with closing(connection):
        connection.request("GET", path, headers=session)
        answer = connection.getresponse()
        assert answer.status == 200
        while not answer.readline().startswith(b"event: log"):
            pass
        if way == "logged out":
            server.ask("POST", "/logout", headers={"Sec-Fetch-Site": "same-origin", **session})
        else:
            with closing(open_tokens(server.project.path / ".git" / "cicdctl")) as tokens:
                tokens.revoke("test")
        # A piece comes each 100 ms at most: these would take minutes.
        for _ in range(2000):
            if not answer.readline():
                break
        else:
            raise AssertionError("the stream goes on")
    server.ask("POST", "/api/runs/1/cancel", token=server.token("cancel", name="end"), json_body={})
