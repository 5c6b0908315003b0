"""Pages stay true by themselves, and can be gone through with the keyboard."""

from __future__ import annotations

import pytest
from demo_runs import record_run
from playwright.sync_api import expect

from cicdctl.model import Verdict
from cicdctl.store import open_state

CONFIG = """
[pipelines.build]
[pipelines.build.stages]
unit = "while test ! -e ../go; do sleep 0.05; done"
[pipelines.test]
[pipelines.test.stages]
unit = "true"
"""


@pytest.fixture
def server(make_project, serve, tmp_path):
    """`build` runs until there is a file `go`; `old`, which is no longer written down, failed."""
    go = tmp_path / "go"
    project = make_project(CONFIG.replace("../go", str(go)))
    project.cicdctl("history").passes()
    state = open_state(project.path / ".git" / "cicdctl")
    record_run(state, "old", at=1.7e9, seconds=1.0, verdict=Verdict.FAILED)
    state.close()
    server = serve(project)
    yield server
    go.touch()


def test_overview_follows_a_run_without_being_loaded_again(server, visit, tmp_path):
    """A run that somebody starts elsewhere appears, runs, ends; title and icon say so; a chosen row stays chosen."""
    visitor = visit(server)
    page = visitor.go("/")
    page.evaluate("window.isTheSame = true")
    status = page.locator("#p-build .status")
    page.keyboard.press("j")
    page.keyboard.press("j")

    server.project.cicdctl("trigger", "build").passes()
    expect(status).to_have_text("running")
    expect(page).to_have_title("▸ Pipelines · project1")
    expect(page.locator("#figure-running")).to_contain_text("1 running")

    (tmp_path / "go").touch()
    expect(status).to_have_text("passed")
    expect(page.locator("#figure-running")).to_contain_text("0 running")
    assert page.locator(".is-chosen").get_attribute("id") == "p-old"
    assert page.evaluate("window.isTheSame") is True


def test_what_is_being_written_is_not_taken_away(server, visit):
    """News swap everything but the field somebody is in."""
    visitor = visit(server)
    page = visitor.go("/")
    page.keyboard.press("/")
    page.keyboard.type("tes")
    server.project.cicdctl("trigger", "test").passes()
    expect(page.locator("#p-test .status")).to_have_text("passed")
    page.keyboard.type("t")
    expect(page.get_by_label("Name", exact=True)).to_have_value("test")
    page.keyboard.press("Enter")
    expect(page.locator("#rows .name")).to_have_text(["test"])


def test_keys_choose_open_and_find_what_failed(server, visit):
    visitor = visit(server)
    page = visitor.go("/")
    chosen = page.locator(".is-chosen .name")
    page.keyboard.press("j")
    expect(chosen).to_have_text("build")
    page.keyboard.press("k")
    expect(chosen).to_have_text("build")
    page.keyboard.press("f")
    expect(chosen).to_have_text("old")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("old")


def test_page_says_that_it_is_no_longer_live_and_goes_on(server, serve, visit):
    """The server goes: what is shown stays, and says that it may be old. It comes back: the page is true again."""
    visitor = visit(server)
    page = visitor.go("/")
    expect(page.locator("#link")).to_have_text("")
    server.stop()
    expect(page.locator("#link")).to_contain_text("not live")
    expect(page.locator("#p-old")).to_be_visible()

    serve(server.project, "--port", str(server.port))
    server.project.cicdctl("trigger", "test").passes()
    expect(page.locator("#p-test .status")).to_have_text("passed")
    expect(page.locator("#link")).to_have_text("")
    assert all("ERR_" in text for text in visitor.complaints)
    visitor.complaints.clear()


def test_page_without_scripts_asks_again_by_itself(server, visit):
    visitor = visit(server, scripts=False)
    page = visitor.go("/queue")
    assert page.locator("noscript meta[http-equiv=refresh]").get_attribute("content") == "30"
