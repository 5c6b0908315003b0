"""The overview shows each pipeline as its runs left it, with and without scripts."""

from __future__ import annotations

import pytest
from demo_runs import record_run
from playwright.sync_api import expect

from cicdctl.model import Verdict
from cicdctl.store import open_state

from .conftest import wait_until

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
unit = "true"
[pipelines.deploy]
params = { where = { default = "here" }, why = {} }
[pipelines.deploy.stages]
ship = "true"
"""


@pytest.fixture
def project(make_project):
    """Runs of two pipelines, and of one that is no longer written down."""
    project = make_project(CONFIG)
    project.cicdctl("history").passes()
    state = open_state(project.path / ".git" / "cicdctl")
    try:
        for at in range(12):
            verdict = Verdict.FAILED if at == 11 else Verdict.PASSED
            record_run(
                state, "build", at=1e9 + at * 100, seconds=5.0 + at, verdict=verdict, message=f"change {at}\n\nmore"
            )
        record_run(state, "old", at=1e9, seconds=1.0, ref="refs/heads/feature/x")
    finally:
        state.close()
    return project


def test_row_says_how_a_pipeline_is(project, serve, visit):
    """Name, trigger, ten bars, status in a word, first line of the message, ref; the tab says what is wrong."""
    visitor = visit(serve(project), scripts=False)
    page = visitor.go("/")

    assert page.title() == "✗ Pipelines · project1"
    rows = page.locator("#rows tr")
    expect(rows).to_have_count(3)
    build = rows.nth(0)
    expect(build.locator(".c-name")).to_contain_text("on every commit")
    expect(build.locator(".c-status")).to_contain_text("failed")
    expect(build.locator(".c-commit")).to_contain_text("change 11")
    expect(build.locator(".c-commit")).not_to_contain_text("more")
    expect(build.locator(".ref")).to_have_text("main")
    expect(build.get_by_role("img")).to_have_accessible_name("last 10 runs: 9 passed, 1 failed")
    expect(rows.nth(1).locator(".c-status")).to_have_text("never run")
    expect(rows.nth(2).locator(".c-name")).to_contain_text("no longer in the configuration")


def test_what_is_no_pipeline_any_more_alarms_nobody(make_project, serve, visit):
    """A commit whose file was wrong, or a pipeline that is gone, cannot get green again; while it is wrong, it is told."""
    project = make_project(CONFIG)
    project.cicdctl("history").passes()
    state = open_state(project.path / ".git" / "cicdctl")
    try:
        record_run(state, "build", at=1e9, seconds=1.0)
        record_run(state, "old", at=1e9, seconds=1.0, verdict=Verdict.FAILED)
        record_run(state, ".cicd.toml", at=1e9, seconds=0.0, verdict=Verdict.ERROR, stages=())
    finally:
        state.close()
    page = visit(serve(project), scripts=False).go("/")
    assert page.title() == "✓ Pipelines · project1"
    rows = page.locator("#rows tr")
    expect(rows.filter(has_text=".cicd.toml").locator(".c-name")).to_contain_text(
        "commits whose configuration is wrong"
    )
    expect(rows.filter(has_text="old").locator(".c-status")).to_contain_text("failed")

    project.write(".cicd.toml", CONFIG + "[pipelines")
    project.commit("wrong")
    wait_until(lambda: page.reload() and page.title() == "✗ Pipelines · project1")
    expect(rows.filter(has_text="old").locator(".c-name")).to_contain_text("the configuration cannot be read")
    page.goto(page.url + "p/build")
    expect(page.locator("main")).to_contain_text("the configuration cannot be read")


def test_filter_by_name_status_and_ref(project, serve, visit):
    visitor = visit(serve(project), scripts=False)
    page = visitor.go("/")
    names = page.locator("#rows .name")

    page.get_by_label("Branch or tag").fill("FEATURE")
    page.get_by_role("button", name="Filter").click()
    expect(names).to_have_text(["old"])

    page.get_by_label("Branch or tag").fill("")
    page.get_by_label("Status").select_option("failed")
    page.get_by_role("button", name="Filter").click()
    expect(names).to_have_text(["build"])

    page.get_by_label("Name", exact=True).fill("nothing like that")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("No pipeline is like that.")).to_be_visible()


def test_nobody_is_offered_what_they_may_not_do(project, serve, visit):
    """Without a token there is no button that starts a run; with one for a pipeline there is one for that."""
    server = serve(project)
    visitor = visit(server, scripts=False)
    page = visitor.go("/")
    expect(page.get_by_role("button", name="Run")).to_have_count(0)

    page = visitor.log_in(server.token("trigger:build"))
    expect(page.locator("#rows").get_by_role("button", name="Run")).to_have_count(1)
    page.locator("#rows").get_by_role("button", name="Run").click()
    assert page.url.endswith("/r/14")
    server.wait_for_run(14)


def test_repository_without_pipelines_says_how_to_begin(make_project, serve, visit):
    project = make_project("")
    visitor = visit(serve(project), scripts=False)
    page = visitor.go("/")
    expect(page.get_by_text("No pipelines yet.")).to_be_visible()


def test_page_of_a_pipeline(project, serve, visit):
    """Facts, trend, stages and runs; older ones by a link; a pipeline that there is not is told."""
    visitor = visit(serve(project), scripts=False)
    page = visitor.go("/p/build")
    expect(page.get_by_role("heading", level=1)).to_have_text("build")
    expect(page.locator("#facts")).to_contain_text("92%")
    expect(page.get_by_role("img", name="12 runs: median")).to_be_visible()
    expect(page.locator("#stages tbody tr")).to_have_count(2)
    expect(page.locator("#runs-rows tr")).to_have_count(12)

    page.get_by_label("Verdict").select_option("failed")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#runs-rows tr")).to_have_count(1)
    assert server_said(visitor, "/p/none") == 404


def server_said(visitor, path: str) -> int:
    """Return the status of a page."""
    answer = visitor.page.goto(visitor.url + path)
    visitor.complaints.clear()
    return answer.status


def test_pages_of_the_operator(project, serve, visit):
    """Caches, notifiers and the administration answer; the last one only to whoever may."""
    server = serve(project)
    visitor = visit(server, scripts=False)
    for path, title in (("/caches", "Caches"), ("/notifiers", "Notifiers"), ("/triggers", "Triggers")):
        expect(visitor.go(path).get_by_role("heading", level=1)).to_have_text(title)
    expect(visitor.go("/admin").get_by_role("heading")).to_have_text("Log in")
    visitor.log_in(server.token("admin"))
    expect(visitor.go("/admin").get_by_role("heading", level=1)).to_have_text("Admin")
    expect(visitor.page.locator("#tokens")).to_contain_text("yours")


def test_triggers_says_how_changes_are_noticed(project, serve, visit):
    """The monitor, when each pipeline starts, the refs; a button to look at once for whoever may."""
    server = serve(project)
    visitor = visit(server, scripts=False)
    page = visitor.go("/triggers")
    expect(page.locator("#monitors")).to_contain_text("this repository")
    expect(page.locator("#forges")).to_contain_text("No forge tells us anything.")
    expect(page.locator("#schedules tr").filter(has_text="build")).to_contain_text("on every commit")
    expect(page.get_by_role("button", name="Look now")).to_have_count(0)

    visitor.log_in(server.token("admin"))
    project.git("branch", "feature/y")
    visitor.go("/triggers").get_by_role("button", name="Look now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Triggers")

    def is_seen() -> bool:
        return visitor.go("/triggers").locator("#refs").get_by_text("feature/y").count() == 1

    wait_until(is_seen)
    server.wait_for_run(14)  # it started a run
