"""A fix on the page of its run: what it changes, on which grounds, and what a person decides."""

from __future__ import annotations

from playwright.sync_api import expect

from ...fixing.conftest import CONFIG, FILES, FIXER


def test_fix_is_shown_and_rejected(make_project, serve, visit):
    """Outcome, patch, checks, proof and the command that takes it over; only who may is offered to reject it."""
    project = make_project(config=CONFIG + FIXER, files=FILES)
    project.cicdctl("run", "build", "HEAD").fails(1)
    server = serve(project)
    visitor = visit(server, scripts=False)
    page = visitor.go("/r/1")

    card = page.locator("#fixes .card")
    expect(card.locator(".status").first).to_have_text("fixed")
    expect(card.locator(".diff .minus")).to_have_text(["-\treturn 2 * n"])
    expect(card.locator(".diff .plus")).to_have_text(["+    return 2 * n"])
    expect(card).to_contain_text("sha256:")
    expect(card.locator(".again .copy")).to_have_text("cicdctl fix apply 1/lint")
    expect(page.get_by_role("button", name="Reject")).to_have_count(0)

    visitor.log_in(server.token("admin", name="ada"))
    page = visitor.go("/r/1")
    page.get_by_role("button", name="Reject").click()
    assert page.url.endswith("/r/1#fixes")
    expect(card.locator(".status").first).to_have_text("rejected")
    expect(card.locator(".again")).to_have_count(0)
    assert project.git("branch", "--list", "cicdctl/*") == ""


def test_finding_is_approved(make_project, serve, visit):
    """A fix that a guard holds back has no command to apply it until somebody who may has lifted every finding."""
    fixer = FIXER.replace('src/app.py"', 'src/app.py; sed -i s/1/2/ pyproject.toml"').replace(
        '"src/**"', '"src/**", "pyproject.toml"'
    )
    project = make_project(config=CONFIG + fixer, files=FILES | {"pyproject.toml": "[a]\nb = 1\n"})
    project.cicdctl("run", "build", "HEAD").fails(1)
    server = serve(project)
    visitor = visit(server, scripts=False)
    visitor.log_in(server.token("admin", name="ada"))
    page = visitor.go("/r/1")
    card = page.locator("#fixes .card")
    expect(card.locator(".status").first).to_have_text("waiting for approval")
    expect(card.locator(".again")).to_have_count(0)
    while card.get_by_role("button", name="Approve").count():
        card.get_by_role("button", name="Approve").first.click()
    expect(card.locator(".status").first).to_have_text("fixed")
    expect(card).to_contain_text("approved by ada")
    expect(card.locator(".again .copy")).to_have_text("cicdctl fix apply 1/lint")
