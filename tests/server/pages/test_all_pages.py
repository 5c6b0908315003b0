"""Every page with text that means harm: nothing of it becomes markup or script, and everybody can read and use it."""

from __future__ import annotations

import re

import pytest
from demo_runs import record_run
from playwright.sync_api import expect

from cicdctl.model import Verdict
from cicdctl.store import open_state

HARM = "<img src=x onerror='window.harmed = 1'><script>window.harmed = 1</script>"
NAME = "<img src=x onerror=alert(1)>"  # from before names were checked
REF = "refs/heads/<b>a;b$(id)`x`'\"&amp;{{7+7}}"
CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
unit = "true"
[pipelines.deploy]
environment = "live"
approval = true
params = { why = { description = "<img src=x onerror='window.harmed = 1'>" } }
[pipelines.deploy.stages]
ship = "true"
[notifiers.team]
uses = "slack"
url = "http://127.0.0.1:9/<script>window.harmed=1</script>"
"""
PAGES = (
    "/",
    "/r/2",
    "/r/2/s/unit",
    "/p/build",
    "/p/deploy?run",
    "/queue",
    "/triggers",
    "/caches",
    "/notifiers",
    "/admin",
    "/nowhere",
)
NEAR_BLACK = "\u202e\u2066\x1b]0;x\x07"


@pytest.fixture
def server(make_project, serve):
    """A server of a repository whose commits, refs, people and tokens mean harm."""
    project = make_project(CONFIG)
    project.git("branch", "--no-track", REF.removeprefix("refs/heads/"))
    project.cicdctl("token", "create", HARM[:60], "--scope", "read").passes()
    state = open_state(project.path / ".git" / "cicdctl")
    try:
        for at in range(6):
            verdict = Verdict.FAILED if at % 2 else Verdict.PASSED
            record_run(
                state,
                "build",
                at=1.7e9 + at * 100,
                seconds=5.0 + at,
                verdict=verdict,
                ref=REF,
                message=HARM + NEAR_BLACK,
                author=f"{HARM} <{HARM}>",
                reason=HARM,
            )
        record_run(state, NAME, at=1.7e9, seconds=1.0, message=HARM)
    finally:
        state.close()
    project.cicdctl("trigger", "deploy", "-p", f"why={HARM}").passes()
    return serve(project)


def test_pages_hold_and_can_be_used_by_everybody(server, visit, axe):
    """No script runs, no element comes from text, the policy is kept; axe finds nothing, no page is too wide."""
    visitor = visit(server)
    visitor.log_in(server.token("admin", name="ada"))
    for path in PAGES:
        page = visitor.go(path)
        if path == "/nowhere":
            visitor.complaints.clear()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.evaluate("[window.harmed, ...window.cspReports]") == [None], path
        assert page.locator("img[src=x], main script, main b b").count() == 0, path
        assert not re.search("[\u202e\u2066\x1b\x07]", page.content()), path
        page.evaluate(axe)
        assert too_wide(page) <= 0, path
        assert violations(page, "") == [], path
        page.set_viewport_size({"width": 400, "height": 800})
        page.emulate_media(color_scheme="dark")
        assert too_wide(page) <= 0, f"{path} on a small screen"
        assert violations(page, "{runOnly: ['color-contrast', 'target-size', 'link-in-text-block']}") == [], path
        page.set_viewport_size({"width": 1280, "height": 800})
        page.emulate_media(color_scheme="light")


def too_wide(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def violations(page, options: str) -> list:
    found = page.evaluate(f"axe.run({options}).then((all) => all.violations)")
    return [(one["id"], [node["target"] for node in one["nodes"]]) for one in found]


def test_text_that_means_harm_is_shown_as_it_is(server, visit):
    """Without scripts as well, and under the name it has: escaped, not removed."""
    visitor = visit(server, scripts=False)
    page = visitor.go("/")
    build = page.locator("#p-build")
    expect(build.locator(".message")).to_contain_text("<img src=x onerror='window.harmed = 1'>")
    expect(build.locator(".ref")).to_have_text(REF.removeprefix("refs/heads/"))
    gone = page.locator("#rows tr").filter(has_text="no longer in the configuration")
    expect(gone.locator(".name")).to_contain_text("<img src=x")

    gone.locator(".name").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("<img src=x")
    page = visitor.go("/p/build")
    expect(page.locator("#runs-rows .author").first).to_contain_text("<img")
    for path in PAGES[:-2]:
        assert visitor.page.goto(server.url + path).status == 200
    assert page.locator("noscript").count() >= 1
