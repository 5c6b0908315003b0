"""Statuses on forges: servers on loopback that check a request and answer it as the forge's documentation says."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from cicdctl.errors import ConfigError, NotSent
from cicdctl.model import Verdict
from cicdctl.notifiers.bitbucket import Bitbucket, BitbucketOptions, BitbucketServer
from cicdctl.notifiers.gitea import Gitea
from cicdctl.notifiers.github import GitHub
from cicdctl.notifiers.gitlab import GitLab
from cicdctl.notifiers.statuses import StatusOptions
from tests.notifiers.conftest import Request, wait_empty, wait_until
from tests.notifiers.test_kinds import NOTICE, near

Answer = tuple[int, dict[str, str], bytes]
COMMIT = NOTICE.commit


class Forge:
    """Keeps the newest state of each context; knows one commit and one token."""

    def __init__(self, path: str, auth: tuple[str, str], states: set[str], names: Mapping[str, str]) -> None:
        self.path, self.auth, self.states, self.names = path, auth, states, names
        self.commits = {COMMIT}
        self.known: dict[str, str] = {}
        self.not_found: Answer = (404, {}, b'{"message":"Not Found"}')
        self.check: Callable[[Any], None] = lambda _: None

    def __call__(self, request: Request) -> Answer:
        if request.method != "POST" or request.headers.get("content-type") != "application/json":
            return 415, {}, b"{}"
        match = re.fullmatch(self.path, request.path)
        if match is None:
            return 404, {}, b'{"message":"Not Found","documentation_url":"https://docs.test/commits"}'
        if request.headers.get(self.auth[0]) != self.auth[1]:
            return 401, {}, b'{"message":"Bad credentials"}'
        if match["sha"] not in self.commits:
            return self.not_found
        body = request.json
        state, key = body[self.names["state"]], body[self.names["key"]]
        if state not in self.states or len(body["description"]) > 140:
            return 422, {}, b'{"message":"Validation Failed"}'
        self.check(body)
        if self.known.get(key) == state and "enqueue" in self.names:
            text = (
                f'Cannot transition status via :run from :{state} (Reason(s): Status cannot transition via \\"run\\")'
            )
            return 400, {}, b'{"message":"%s"}' % text.encode()
        self.known[key] = state
        return 201, {}, b"{}"


def github_forge() -> Forge:
    forge = Forge(
        r"/repos/owner/name/statuses/(?P<sha>[0-9a-f]{40})",
        ("authorization", "Bearer t0ken-t0ken"),
        {"error", "failure", "pending", "success"},
        {"state": "state", "key": "context"},
    )
    forge.not_found = (422, {}, b'{"message":"No commit found for SHA: %s"}' % COMMIT.encode())
    return forge


def gitea_forge() -> Forge:
    forge = github_forge()
    forge.path = "/api/v1" + forge.path
    forge.auth = ("authorization", "token t0ken-t0ken")
    forge.states = {"pending", "success", "error", "failure", "warning"}
    forge.not_found = (404, {}, b'{"message":"object does not exist [id: %s]"}' % COMMIT.encode())
    return forge


def gitlab_forge() -> Forge:
    forge = Forge(
        r"/projects/owner%2Fname/statuses/(?P<sha>[0-9a-f]{40})",
        ("private-token", "t0ken-t0ken"),
        {"pending", "running", "success", "failed", "canceled", "skipped"},
        {"state": "state", "key": "name", "enqueue": ""},
    )
    forge.not_found = (404, {}, b'{"message":"404 Commit Not Found"}')
    return forge


def bitbucket_forge() -> Forge:
    forge = Forge(
        r"/2.0/repositories/owner/name/commit/(?P<sha>[0-9a-f]{40})/statuses/build",
        ("authorization", "Bearer t0ken-t0ken"),
        {"INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED"},
        {"state": "state", "key": "key"},
    )
    forge.not_found = (404, {}, b'{"type":"error","error":{"message":"Commit not found"}}')
    return forge


def server_forge() -> Forge:
    forge = bitbucket_forge()
    forge.path = r"/rest/api/latest/projects/owner/repos/name/commits/(?P<sha>[0-9a-f]{40})/builds"
    forge.states = {"INPROGRESS", "SUCCESSFUL", "FAILED", "CANCELLED", "UNKNOWN"}
    return forge


FORGES = {
    "github": (GitHub, StatusOptions, github_forge, ""),
    "gitea": (Gitea, StatusOptions, gitea_forge, "/api/v1"),
    "gitlab": (GitLab, StatusOptions, gitlab_forge, ""),
    "bitbucket": (Bitbucket, BitbucketOptions, bitbucket_forge, ""),
    "bitbucket-server": (BitbucketServer, BitbucketOptions, server_forge, ""),
}
# What each verdict is there, in the order of `VERDICTS`.
VERDICTS = ("running", "passed", "failed", "timed_out", "error", "interrupted", "cancelled", "skipped")
WORDS = {
    "github": "pending success failure failure error error error error",
    "gitea": "pending success failure failure error error error error",
    "gitlab": "running success failed failed failed failed canceled skipped",
    "bitbucket": "INPROGRESS SUCCESSFUL FAILED FAILED FAILED FAILED STOPPED STOPPED",
    "bitbucket-server": "INPROGRESS SUCCESSFUL FAILED FAILED FAILED FAILED CANCELLED CANCELLED",
}


def open_forge(name: str, sink, **fields):
    """Let the sink behave like the forge, and open the notifier for it."""
    kind, options, make, base = FORGES[name]
    sink.answer = forge = make()
    given = {"repository": "owner/name", "token": "t0ken-t0ken", "url": sink.url + base, **fields}
    return near(kind(options(**given))), forge


@pytest.mark.parametrize("name", FORGES)
@pytest.mark.parametrize("place", range(len(VERDICTS)), ids=VERDICTS)
def test_each_verdict_has_its_word(name, place, sink):
    """Nothing but a pass is green."""
    notifier, forge = open_forge(name, sink)
    verdict = VERDICTS[place]
    notifier.send(replace(NOTICE, verdict=None if verdict == "running" else verdict))
    assert list(forge.known.items()) == [("cicdctl/build", WORDS[name].split()[place])]


def test_every_verdict_is_tested():
    assert {*VERDICTS} == {"running", *(verdict.value for verdict in Verdict)}


@pytest.mark.parametrize("name", FORGES)
def test_a_commit_that_is_not_pushed_yet_is_tried_again(name, sink):
    """But a wrong repository or token is final."""
    notifier, forge = open_forge(name, sink)
    forge.commits.clear()
    with pytest.raises(NotSent) as caught:
        notifier.send(NOTICE)
    assert not caught.value.is_final and caught.value.hint == "is the commit there?"
    for fields in ({"token": "wrong-t0ken"}, {"repository": "owner/other"}):
        notifier, _ = open_forge(name, sink, **fields)
        with pytest.raises(NotSent) as caught:
            notifier.send(NOTICE)
        assert caught.value.is_final, fields


@pytest.mark.parametrize("name", FORGES)
def test_same_state_twice_is_no_failure(name, sink):
    """At least once: GitLab answers 400 to what is there already."""
    notifier, forge = open_forge(name, sink)
    for verdict in (None, None, "failed", "failed", "passed"):
        notifier.send(replace(NOTICE, verdict=verdict))
    assert list(forge.known.values()) == [WORDS[name].split()[1]]


def test_gitlab_refusing_another_transition_is_a_failure(sink):
    notifier, _ = open_forge("gitlab", sink)
    sink.answer = lambda _: (400, {}, b'{"message":"Cannot transition status via :run from :canceled"}')
    with pytest.raises(NotSent, match="Cannot transition"):
        notifier.send(replace(NOTICE, verdict=None))


@pytest.mark.parametrize("name", FORGES)
def test_texts_and_links(name, sink):
    """140 characters, a link with the run's number, a key of 40, the short ref."""
    link = "https://ci.test/{pipeline}/{run}?c={commit}"
    notifier, forge = open_forge(name, sink, link=link, context="my-organisation's continuous integration")
    notifier.send(replace(NOTICE, failed=tuple(f"stage-{number}" for number in range(90)), pipeline="a b"))
    body = sink.requests[0].json
    assert len(body["description"]) == 140 and body["description"].startswith("run #7 failed: stage-0, stage-1")
    address = body.get("target_url") or body["url"]
    assert address == f"https://ci.test/a%20b/7?c={COMMIT}"
    if "key" in body:
        assert len(body["key"]) == 40 and body["name"].endswith("/a b")
    if name == "gitlab":
        assert body["ref"] == "main"


def test_bitbucket_needs_an_address_and_takes_a_user(sink):
    """Without a link the commit's page; an API token is a password."""
    notifier, forge = open_forge("bitbucket", sink, username="ada@example.test")
    forge.auth = ("authorization", "Basic " + b64encode(b"ada@example.test:t0ken-t0ken").decode())
    notifier.send(NOTICE)
    assert sink.requests[0].json["url"] == f"https://bitbucket.org/owner/name/commits/{COMMIT}"
    notifier, _ = open_forge("bitbucket-server", sink)
    notifier.send(NOTICE)
    assert sink.requests[1].json["url"] == f"{sink.url}/projects/owner/repos/name/commits/{COMMIT}"


def test_skipped_is_green_only_on_demand(sink):
    """`[skip ci]` would make any commit green."""
    notifier, forge = open_forge("github", sink, skipped="success")
    notifier.send(replace(NOTICE, verdict="skipped", failed=()))
    assert forge.known == {"cicdctl/build": "success"}
    assert sink.requests[0].json["description"] == "run #7 skipped"


def test_rate_limit_of_github_is_waited_for(sink):
    """It says 403 with two headers of its own."""
    import time

    notifier, _ = open_forge("github", sink)
    reset = str(int(time.time()) + 100)
    sink.answer = lambda _: (
        403,
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset},
        b'{"message":"API rate limit exceeded"}',
    )
    with pytest.raises(NotSent) as caught:
        notifier.send(NOTICE)
    assert not caught.value.is_final and 90 < caught.value.retry_after_s <= 100


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("github", {"repository": "name"}, "owner/name"),
        ("github", {"repository": "owner/../../x"}, "owner/name"),
        ("github", {"repository": "owner/na me"}, "owner/name"),
        ("github", {"token": ""}, "token"),
        ("github", {"token": "a\r\nX: y"}, "token"),
        ("gitea", {"url": None}, '"url" is missing'),
        ("bitbucket", {"repository": "a/b/c"}, "workspace/name"),
    ],
)
def test_wrong_options(name, fields, words):
    kind, options, _, _ = FORGES[name]
    given = {"repository": "owner/name", "token": "t0ken", "url": "https://x.test", **fields}
    with pytest.raises(ConfigError, match=words) as caught:
        kind(options(**given))
    assert "X: y" not in str(caught.value)


def test_run_sets_pending_then_its_verdict(make_project, operate, sink):
    """Every run of a commit, whatever `on` says; the token is in no error."""
    operate(
        f'[notifiers.forge]\nuses = "github"\nurl = "{sink.url}"\nrepository = "owner/name"\ntoken = "t0ken-t0ken"\n'
    )
    project = make_project(unit="true", other="true")
    sink.answer = forge = github_forge()
    forge.commits = {project.git("rev-parse", "HEAD")}
    project.cicdctl("run", "build", "--stage", "unit").passes()
    project.cicdctl("run", "build").passes()
    wait_until(lambda: forge.known)
    wait_empty(project)
    assert forge.known == {"cicdctl/build": "success"}
    states = [request.json["state"] for request in sink.requests]
    assert states in (["pending", "success"], ["success"])  # the newest state alone when both wait
    assert project.cicdctl("notify", "test", "forge").passes() and "cicdctl/test" in forge.known
    sink.answer = lambda _: (401, {}, b'{"message":"t0ken-t0ken is wrong"}')
    assert "*** is wrong" in project.cicdctl("notify", "test", "forge").fails(3).stderr
    assert all("t0ken" not in json.dumps(request.json) for request in sink.requests)
