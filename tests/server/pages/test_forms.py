"""What pages can do: the same as the command line, without scripts, for whoever may and comes from our own pages."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

CONFIG = """
[orchestrator]
max_parallel_pipelines = 1
[pipelines.build]
params = { where = { default = "here", choices = ["here", "there"] }, why = { description = "a reason" } }
[pipelines.build.stages]
unit = "test $CICD_PARAM_WHERE = there && test \\"$CICD_PARAM_WHY\\" = 'a & b'"
[pipelines.hold]
[pipelines.hold.stages]
unit = "sleep 600"
[pipelines.deploy]
environment = "live"
approval = true
[pipelines.deploy.stages]
ship = "cat what"
[notifiers.team]
uses = "webhook"
url = "http://127.0.0.1:9/"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""
FORMS = (
    "/environments/live/rollback",
    "/p/build/run",
    "/p/build/pause",
    "/p/build/resume",
    "/pause",
    "/resume",
    "/triggers/look",
    "/caches/collect",
    "/caches/clear",
    "/notifiers/test",
    "/notifiers/again",
    "/admin/tokens",
    "/admin/tokens/revoke",
)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def server(make_project, serve):
    return serve(make_project(CONFIG, files={"what": "one\n"}))


def session_of(server, token: str) -> dict[str, str]:
    """Log in and return the cookie."""
    answer = server.ask("POST", "/login", body=f"token={token}".encode(), headers={**FORM, "Sec-Fetch-Site": "none"})
    assert answer.status == 303
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def test_only_whoever_may_and_only_from_our_pages(server):
    """Nobody, a reader, and a foreign page in the browser of the operator change nothing."""
    reader, operator = session_of(server, server.token("read")), session_of(server, server.token("admin"))
    ours, foreign = {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "cross-site"}
    for path in FORMS:
        assert server.ask("POST", path, body=b"", headers={**FORM, **ours}).status == 401, path
        assert server.ask("POST", path, body=b"", headers={**FORM, **ours, **reader}).status == 403, path
        assert server.ask("POST", path, body=b"", headers={**FORM, **foreign, **operator}).status == 403, path
        assert server.ask("GET", path, headers=operator).status in (404, 405), path
    assert server.ask("GET", "/api/runs").json["runs"] == []
    assert server.ask("GET", "/api/queue").json["paused"] == []


def test_run_with_parameters(server, visit):
    """The form of a pipeline has a field for each parameter; what is wrong comes back in words."""
    visitor = visit(server, scripts=False)
    visitor.log_in(server.token("trigger:build"))
    page = visitor.go("/")
    expect(page.locator("#rows").get_by_role("button", name="Run")).to_have_count(0)
    page.get_by_role("link", name="Run …").click()
    page.get_by_label("where").select_option("there")
    page.get_by_label("why: a reason").fill("a & b")
    page.get_by_role("button", name="Run", exact=True).click()
    run = server.wait_for_run(1)["run"]
    assert (run["verdict"], run["params"]) == ("passed", {"where": "there", "why": "a & b"})

    page = visitor.go("/p/build?run")
    page.get_by_label("Commit, branch or tag").fill("no-such-branch")
    page.get_by_label("why: a reason").fill("x")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("no-such-branch")
    visitor.complaints.clear()


def test_pause_and_resume(server, visit):
    """One pipeline, or all; every page says so, and what waits goes on."""
    visitor = visit(server, scripts=False)
    visitor.log_in(server.token("admin"))
    page = visitor.go("/p/hold")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#head .chip")).to_have_text("paused")
    assert page.url.endswith("/p/hold")
    expect(visitor.go("/").locator("#p-hold .chip")).to_have_text("paused")
    visitor.go("/p/hold").get_by_role("button", name="Resume").click()
    expect(page.locator("#head .chip")).to_have_count(0)

    page = visitor.go("/queue")
    page.get_by_role("button", name="Pause all").click()
    expect(page.locator("#notices")).to_contain_text("The queue is paused")
    server.project.cicdctl("trigger", "build", "-p", "why=x").passes()
    page = visitor.go("/queue")
    expect(page.locator("#waiting-rows .status")).to_have_text("paused")
    visitor.go("/caches").locator("#notices").get_by_role("button", name="Resume").click()
    assert page.url.endswith("/caches")
    server.wait_for_run(1)


def test_queue_says_what_waits_for_what(server, visit):
    """What runs, what waits for it and what for a person; both can be ended, the last one approved."""
    visitor = visit(server, scripts=False)
    visitor.log_in(server.token("admin"))
    server.project.cicdctl("trigger", "hold", "--wait", "start").passes()
    server.project.cicdctl("trigger", "build", "-p", "why=x").passes()
    server.project.cicdctl("trigger", "deploy").passes()
    page = visitor.go("/queue")
    waiting = page.locator("#waiting-rows tr")
    expect(page.locator("#running-rows tr")).to_have_count(1)
    expect(page.locator("#running-rows")).to_contain_text("hold")
    expect(waiting.nth(0).locator(".why")).to_contain_text("one of 1 that may run at once")
    expect(waiting.nth(1).locator(".why")).to_have_text("approval")
    expect(page.get_by_role("link", name="Queue 2")).to_be_visible()

    waiting.nth(1).get_by_role("button", name="Approve").click()
    assert page.url.endswith("/queue")
    expect(waiting.nth(1).locator(".why")).to_contain_text("slot")
    waiting.nth(0).get_by_role("button", name="Cancel").click()
    assert server.wait_for_run(2)["run"]["verdict"] == "cancelled"
    page.locator("#running-rows").get_by_role("button", name="Cancel").click()
    assert page.url.endswith("/queue")
    assert server.wait_for_run(1)["run"]["verdict"] == "cancelled"
    assert server.wait_for_run(3)["run"]["verdict"] == "passed"


def test_roll_back(make_project, serve, visit):
    """What is deployed is on the overview; what was there before can be deployed again."""
    project = make_project(CONFIG.replace("approval = true", ""), files={"what": "one\n"})
    server = serve(project)
    project.cicdctl("trigger", "deploy", "--wait", "end").passes()
    first = project.git("rev-parse", "HEAD")
    project.write("what", "two\n")
    project.commit("second")
    project.cicdctl("trigger", "deploy", "--wait", "end").passes()

    visitor = visit(server, width=400)
    assert visitor.go("/").get_by_text("Roll back").count() == 0
    visitor.log_in(server.token("trigger:deploy"))
    page = visitor.go("/")
    expect(page.locator("#deployed tbody tr")).to_contain_text("live")
    page.get_by_text("Roll back …").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    page.get_by_role("button", name="Deploy what was there before").click()
    run = server.ask("GET", "/api/runs/3").json["run"]
    assert (run["trigger"], run["commit"]) == ("rollback", first)
    assert page.url.endswith("/r/3")
    assert server.wait_for_run(3)["run"]["verdict"] == "passed"


def test_token_is_shown_once_works_and_can_be_revoked(server, visit):
    visitor = visit(server, scripts=False)
    visitor.log_in(server.token("admin", name="me"))
    page = visitor.go("/admin")
    page.get_by_label("Name").fill("ci <b>")
    page.get_by_label("Scopes").fill("read trigger:build")
    page.get_by_label("Expires after").fill("90d")
    page.get_by_role("button", name="Make a token").click()
    text = page.locator("#made pre").inner_text()
    assert re.fullmatch(r"cicd_[0-9a-f]{8}_\S{40,}", text)
    assert server.ask("GET", "/api/runs", token=text).status == 200
    assert text not in visitor.go("/admin").content()

    row = page.locator("#tokens tr").filter(has_text="ci <b>")
    expect(row).to_contain_text("read, trigger:build")
    row.get_by_role("button", name="Revoke").click()
    expect(row.locator(".chip")).to_have_text("revoked")
    server.ask("GET", "/api/runs", token=text).is_refused(401, "bad_token")

    page.get_by_label("Name").fill("x")
    page.get_by_label("Scopes").fill("everything")
    page.get_by_role("button", name="Make a token").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("there is no scope everything")
    visitor.complaints.clear()


def test_notifier_is_tried_and_cache_is_cleared(server, visit):
    """A test that did not arrive says so; a cleared cache has no results."""
    visitor = visit(server, scripts=False)
    visitor.log_in(server.token("admin"))
    page = visitor.go("/notifiers")
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("alert")).to_contain_text("The test did not arrive. team:")
    visitor.complaints.clear()

    server.project.cicdctl("run", "build", "-p", "where=there", "-p", "why=a & b").passes()
    page = visitor.go("/caches")
    expect(page.locator("#largest")).to_contain_text("unit")
    page.locator("#clear summary").click()
    page.get_by_role("button", name="Clear everything").click()
    expect(page.locator("#largest")).to_contain_text("No results yet.")
