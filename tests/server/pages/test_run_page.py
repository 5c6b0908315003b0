"""The page of a run: what is wrong first, pictures, log, and what can be done; with and without scripts."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from ..conftest import operator_file
from .conftest import wait_until

CONFIG = r"""
[pipelines.build.stages.lint]
run = "true"
needs = []
[pipelines.build.stages.compile]
run = "mkdir -p out; echo 1 > out/app.bin"
artifacts = ["out/**"]
needs = []
[pipelines.build.stages.unit]
run = '''for i in $(seq 300); do echo "step $i"; done; printf '\033[31mapp.py:3: error: wrong\033[0m\n'; exit 7'''
needs = ["lint", "compile"]
retries = 1
[pipelines.build.stages.unit.matrix]
python = ["3.11", "3.12"]
[pipelines.build.stages.ship]
run = "true"
needs = ["unit"]
"""
TRUSTED = '[orchestrator.trust]\nrefs = ["*"]\n'
PATIENCE_MS = 30_000


@pytest.fixture
def failed(make_project):
    """A run with a matrix whose cells fail at their second try."""
    project = make_project(CONFIG)
    project.git("remote", "add", "origin", "git@github.com:example/app.git")
    # Without it the cell that fails first may end the other one.
    project.cicdctl("run", "build", "--keep-going").fails(1)
    return project


def test_failure_comes_first_without_scripts(failed, serve, visit):
    """How it ended, its last lines, the way back in; then graph, times, the log at its first error, artifacts."""
    server = serve(failed)
    visitor = visit(server, scripts=False)
    page = visitor.go("/r/1")

    assert page.title().startswith("✗ #1 build")
    cards = page.locator(".failure")
    expect(cards).to_have_count(2)
    expect(cards.first).to_contain_text("exit 7")
    expect(cards.first).to_contain_text("2 attempts")
    expect(cards.first.locator(".line")).to_have_count(20)
    expect(cards.first.locator(".line").last).to_have_text("app.py:3: error: wrong")
    expect(cards.first.locator(".line .f1")).to_have_text("app.py:3: error: wrong")
    expect(cards.first.locator(".copy")).to_have_text("cicdctl shell 1 'unit[python=3.11]'")
    order = page.locator("main > *").evaluate_all("all => all.map(one => one.id)")
    assert order.index("failures") < order.index("graph-card") < order.index("time-card") < order.index("log-card")

    graph = page.locator("svg.graph")
    expect(graph.locator(".cell")).to_have_count(5)
    expect(graph.locator(".cell.bad")).to_have_count(2)
    expect(graph.locator(".edge")).to_have_count(3)
    expect(graph.locator(".edge.is-critical")).to_have_count(1)
    expect(page.locator(".fall[data-row]")).to_have_count(5)
    expect(page.locator(".fall", has_text="unit 3.11").locator(".fill-bad")).to_have_count(2)
    expect(page.locator("#log-card .is-error")).to_have_text("app.py:3: error: wrong")
    expect(page.locator("#artifacts tbody tr")).to_have_count(1)
    with page.expect_download() as download:
        page.locator("#artifacts a").click()
    assert download.value.suggested_filename == "app.bin"
    expect(page.locator("#facts .oid")).to_have_attribute(
        "href", r"https://github.com/example/app/commit/" + failed.git("rev-parse", "HEAD")
    )

    graph.locator("a", has_text="compile").click()
    expect(page.locator("#log-card h2")).to_have_text("Log of compile")
    page.locator(".fall-name", has_text="3.12").click()
    expect(page.locator("#log-card h2")).to_have_text("Log of unit[python=3.12]")
    page.get_by_role("link", name="1", exact=True).click()
    expect(page.locator(".tries [aria-current]")).to_have_text("1")
    page.get_by_role("link", name="Earlier lines").click()
    expect(page.locator("#log-card .line").first).to_have_text("step 89")
    page.get_by_role("link", name="Earlier lines").click()
    expect(page.locator("#log-card .line").first).to_contain_text("$ for i in")
    expect(page.locator("#log-card .line").nth(1)).to_have_text("step 1")
    page.get_by_role("link", name="Later lines").click()
    expect(page.locator("#log-card .line").first).to_have_text("step 200")
    page.get_by_role("link", name="Full screen").click()
    assert page.url.endswith("/r/1/s/unit%5Bpython=3.12%5D?attempt=1")
    expect(page.locator("#strip a")).to_have_count(5)


def test_run_again_and_cancel_by_forms(make_project, serve, visit):
    """Buttons are for those who may; they work without scripts; a new run is shown at once, its end too."""
    project = make_project(unit="test ! -e stop && echo waits && sleep 60")
    project.write("stop", "")
    project.commit()
    project.cicdctl("run", "build").fails(1)
    project.git("rm", "-q", "stop")
    server = serve(project)
    visitor = visit(server, scripts=False)
    page = visitor.go("/r/1")
    expect(page.get_by_role("button", name="Re-run")).to_have_count(0)

    visitor.log_in(server.token("trigger:build", "cancel"))
    page = visitor.go("/r/1")
    page.get_by_role("button", name="Re-run failed").click()
    assert page.url.endswith("/r/2")
    expect(page.locator("#facts")).to_contain_text("again of #1")
    server.wait_for_run(2)

    project.commit("without it")
    again = server.ask("POST", "/trigger/build", token=server.token("trigger", name="ship-bot"), json_body={})
    assert again.status == 202, again.text
    page = visitor.go("/r/3")
    expect(page.locator("#facts")).to_contain_text("api ship-bot")
    page.get_by_role("button", name="Cancel").click()
    assert page.url.endswith("/r/3")
    assert server.wait_for_run(3)["run"]["verdict"] == "cancelled"
    page = visitor.go("/r/3")
    expect(page.locator("#head .status")).to_have_text("cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_run_that_came_after_another(make_project, serve, visit):
    """It is not that one again, but what is made again of it is."""
    project = make_project(
        '[pipelines.build.stages]\na = "true"\n[pipelines.test]\ntrigger = "after_build"\n[pipelines.test.stages]\nb = "true"\n'
    )
    server = serve(project)
    admin = server.token("admin")
    assert server.ask("POST", "/trigger/build", token=admin, json_body={"rev": "main"}).status == 202
    server.wait_for_run(1)
    wait_until(lambda: server.ask("GET", "/api/runs/2").status == 200)
    server.wait_for_run(2)
    assert server.ask("POST", "/api/runs/2/rerun", token=admin, json_body={}).status == 202
    visitor = visit(server, scripts=False)
    expect(visitor.go("/r/2").locator("#facts")).to_contain_text("after #1")
    expect(visitor.go("/r/3").locator("#facts")).to_contain_text("again of #2")


def test_run_that_waits_is_approved(make_project, serve, visit):
    project = make_project(
        '[pipelines.ship]\nenvironment = "live"\napproval = true\n[pipelines.ship.stages]\nput = "true"\n'
    )
    operator_file(project, TRUSTED)
    server = serve(project)
    admin = server.token("admin")
    assert server.ask("POST", "/trigger/ship", token=admin, json_body={"rev": "main"}).status == 202
    visitor = visit(server, scripts=False)
    visitor.log_in(admin)
    page = visitor.go("/r/1")
    expect(page.locator("#head .status")).to_have_text("waits for approval")
    page.get_by_role("button", name="Approve").click()
    assert server.wait_for_run(1)["run"]["verdict"] == "passed"
    assert visitor.go("/r/1").title().startswith("✓")


def test_page_lives_with_its_run(make_project, serve, visit, tmp_path):
    """Stages, verdict, log and title follow the run in an open page, without loading it again."""
    gate = f"until test -e {tmp_path}/go; do sleep 0.02; done"
    project = make_project(
        f"""
[pipelines.build.stages.first]
run = "echo begins; {gate}; echo ends"
[pipelines.build.stages.second]
run = "echo other; exit 3"
needs = ["first"]
"""
    )
    operator_file(project, TRUSTED)
    server = serve(project)
    assert server.ask("POST", "/trigger/build", token=server.token("trigger"), json_body={}).status == 202
    visitor = visit(server)
    page = visitor.go("/r/1")
    page.evaluate("window.isSame = true")
    expect(page.locator(".log .text", has_text="begins").last).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#head .status")).to_have_text("running", timeout=PATIENCE_MS)
    expect(page.locator(".graph .cell.live")).to_have_count(1)
    expect(page.locator(".graph .cell.wait")).to_have_count(1)

    (tmp_path / "go").touch()
    expect(page.locator("#head .status")).to_have_text("failed", timeout=PATIENCE_MS)
    expect(page.locator(".failure")).to_contain_text("exit 3", timeout=PATIENCE_MS)
    expect(page.locator(".graph .cell.bad")).to_have_count(1)
    expect(page.locator(".graph .cell.ok")).to_have_count(1)
    expect(page.locator("#log-card h2")).to_have_text("Log of second", timeout=PATIENCE_MS)
    expect(page.locator("#log-card .text", has_text="other").last).to_be_visible(timeout=PATIENCE_MS)
    assert page.title().startswith("✗")
    assert page.evaluate("window.isSame") is True


def test_pages_are_accessible_and_fit(failed, serve, visit, axe):
    """No finding of axe in light and dark; nothing wider than a telephone."""
    visitor = visit(serve(failed))
    for path in ("/r/1/s/unit[python=3.11]", "/r/1"):
        visitor.page.set_viewport_size({"width": 1280, "height": 800})
        page = visitor.go(path)
        # As a debugger does: the policy of the page keeps scripts out that are not its own.
        page.context.new_cdp_session(page).send("Runtime.evaluate", {"expression": axe})
        for colours in ("light", "dark"):
            page.emulate_media(color_scheme=colours)
            expect(page.locator(".log .view .line").first).to_be_visible(timeout=PATIENCE_MS)
            found = page.evaluate(
                "async () => (await axe.run()).violations.map(one => [one.id, one.nodes.map(node => node.html)])"
            )
            assert found == [], (path, colours)
        page.set_viewport_size({"width": 400, "height": 800})
        page.reload()
        expect(page.locator(".log .view .line").first).to_be_visible(timeout=PATIENCE_MS)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
        places = page.locator("#nav a").evaluate_all("all => all.map(one => one.getBoundingClientRect().right)")
        assert len(places) == 5 and max(places) <= 400
    fits = "() => (({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)(document.getElementById('canvas'))"
    whole = page.get_by_role("button", name="Whole graph")
    # It would be legible, so it is shown whole at first.
    expect(whole).to_have_attribute("aria-pressed", "true")
    page.wait_for_function(fits)
    whole.click()
    expect(whole).to_have_attribute("aria-pressed", "false")
    assert not page.evaluate(fits)
