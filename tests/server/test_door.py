"""Nobody comes in who may not; whoever comes in finds what the command line shows."""

from __future__ import annotations

import pytest


@pytest.fixture
def server(make_project, serve):
    return serve(make_project(unit="echo hello", config=None))


def test_guide_triggers_with_a_bearer_token(server):
    """`POST /trigger/build` as the guide shows it queues a run, which passes and is the same as any other."""
    token = server.token("trigger:build")

    answer = server.ask("POST", "/trigger/build", token=token)

    assert answer.status == 202
    run = server.wait_for_run(answer.json["run"]["number"])["run"]
    assert (run["verdict"], run["trigger"], run["ref"]) == ("passed", "api", "refs/heads/main")


def test_trigger_needs_the_scope(server):
    """No token, a wrong one, one for another pipeline and one that may read only start nothing."""
    server.ask("POST", "/trigger/build").is_refused(401, "no_token")
    server.ask("POST", "/trigger/build", token="cicd_00000000_" + "a" * 43).is_refused(401, "bad_token")
    server.ask("POST", "/trigger/build", token=server.token("trigger:deploy")).is_refused(403, "scope")
    server.ask("POST", "/trigger/build", token=server.token("read")).is_refused(403, "scope")
    assert server.ask("GET", "/api/runs").json["runs"] == []


def test_revoked_token_is_worth_nothing_at_once(server):
    token = server.token("trigger", name="gone")
    server.project.cicdctl("token", "revoke", "gone").passes()
    server.ask("POST", "/trigger/build", token=token).is_refused(401, "bad_token")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost:1:2", "a b"])
def test_foreign_host_is_refused(server, host):
    """A page that has its own name resolve to 127.0.0.1 reads nothing."""
    server.ask("GET", "/api/runs", headers={"Host": host}).is_refused(421, "host")


@pytest.mark.parametrize("path", ["/api/x;.jsp", "//api", "/%2e%2e/", "/static/..%2f", "/api/runs/1%00", "/api/../api/runs"])
def test_odd_paths_are_nowhere(server, path):
    server.ask("GET", path).is_refused(404, "not_found")


def test_token_in_the_address_is_refused(server):
    """Addresses end up in logs."""
    server.ask("GET", "/api/runs?token=cicd_x").is_refused(400, "token_in_address")


def test_second_server_of_a_repository_is_told_of_the_first(server):
    said = server.project.cicdctl("serve", "--port", str(server.port)).fails(3).stderr
    assert f"watches this repository already: pid {server.process.pid}" in said
    assert "cicdctl stop" in said


def test_port_that_is_taken_is_told(server, make_project):
    said = make_project(unit="true").cicdctl("serve", "--port", str(server.port)).fails(3).stderr
    assert "cannot listen on 127.0.0.1" in said
    assert "--port" in said


def test_listening_for_others_needs_a_token(make_project):
    """Nobody listens on every address while nobody can be told apart."""
    project = make_project(unit="true")
    said = project.cicdctl("serve", "--host", "0.0.0.0", "--port", "0").fails(3).stderr
    assert "nobody has a token yet" in said
    assert "cicdctl token create" in said
