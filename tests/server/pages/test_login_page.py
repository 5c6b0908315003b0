"""Logging in and out, and pages that say what is wrong, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect


@pytest.fixture
def server(make_project, serve):
    return serve(make_project(unit="true"))


@pytest.mark.parametrize("scripts", [True, False])
def test_log_in_and_out(server, visit, scripts):
    """A token that is not valid is refused in words; a good one leads back to where somebody wanted to go."""
    visitor = visit(server, scripts=scripts)
    page = visitor.go("/login")

    page.get_by_label("Token").fill("nonsense")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("This token is not valid.")
    assert all("401" in text for text in visitor.complaints)
    visitor.complaints.clear()

    page = visitor.log_in(server.token("read", name="ada"))
    expect(page.locator(".who")).to_contain_text("ada")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()


def test_error_is_a_page_with_a_way_back(server, visit):
    visitor = visit(server)
    page = visitor.go("/nowhere")
    expect(page.get_by_role("heading")).to_have_text("there is no such page")
    expect(page.get_by_role("link", name="Pipelines").last).to_have_attribute("href", "/")
    assert page.title().startswith("! there is no such page")
    assert [re.sub(r"http\S+", "", text).strip() for text in visitor.complaints] == [
        "console: Failed to load resource: the server responded with a status of 404 (Not Found)"
    ]
    visitor.complaints.clear()
