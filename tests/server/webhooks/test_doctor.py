"""What `cicdctl doctor` says of webhooks: whether a secret is any good, and whether anything comes."""

from __future__ import annotations

import pytest
from forge_deliveries import MAIN, NEW, OLD

from cicdctl.store.deliveries import Delivery, RefHint, open_deliveries


def lines(project) -> list[str]:
    """Return what it says of webhooks; other findings of this machine are none of ours."""
    said = project.cicdctl("doctor")
    return [line for line in (said.stdout + said.stderr).splitlines() if "webhook" in line]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("", []),
        ('[orchestrator]\nmonitoring = { method = "webhook" }\n', ["no forge has a secret"]),
        ('[server.webhooks]\ngithub = "short"\n', ["server.webhooks.github: a secret of 5 bytes protects nothing"]),
        ('[server.webhooks]\ngithub = "0123456789abcdef"\n', ["none came within 7 days for github"]),
    ],
)
def test_before_anything_came(hooked, settings, said):
    found = lines(hooked(settings=settings))
    assert bool(found) == bool(said)
    for text in said:
        assert any(text in line for line in found), found


def test_last_delivery(hooked):
    project = hooked(settings='[server.webhooks]\ngithub = "0123456789abcdef"\n')
    store = open_deliveries(project.path / ".git/cicdctl")
    hint = RefHint(ref=MAIN, old=OLD, new=NEW)
    store.accept([Delivery(forge="github", id="1", event="push", hints=(hint,))])
    store.close()
    found = lines(project)
    assert any("last told by github " in line and "1 waiting" in line for line in found), found


def test_secret_in_the_environment_of_the_server_alone(hooked):
    """Who logs in to look at runs, and a hook of git, do without the variable that holds it."""
    settings = '[orchestrator]\nmonitoring = { method = "webhook", secret = "${NOT_SET_ANYWHERE}" }\n'
    project = hooked(settings=settings)
    assert [line for line in lines(project) if "not set here, the server wants it: NOT_SET_ANYWHERE" in line]
    project.cicdctl("trigger", "build", "--wait", "end").passes()
    assert "passed" in project.cicdctl("history").passes().stdout
    other = settings.replace("method", 'branches = ["${NOT_SET_ANYWHERE}"], method')
    (project.path / ".git/cicdctl/config.toml").write_text(other)
    assert "monitoring.branches" in project.cicdctl("history").fails(2).stderr
