"""docs/webhooks.md is done as it is written: its settings, its addresses, its query, its command, its answers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forge_deliveries import MAIN, NEW, OLD, SECRET, fixtures

from cicdctl.config.rules import FORGES
from cicdctl.server.webhooks import payloads
from cicdctl.server.webhooks.payloads import read_delivery

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
SECTIONS = {title: text for title, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)}
NAMES = {
    "GitHub": "github",
    "GitLab": "gitlab",
    "Gitea": "gitea",
    "Forgejo": "forgejo",
    "Gogs": "gogs",
    "Bitbucket Cloud": "bitbucket",
    "Bitbucket Data Center": "bitbucket-dc",
    "sourcehut": "sourcehut",
}
SRHT = "uX7KWyyDNMaBma4aVbJ/cbUQpdjqczuCyK/HxzV/u+4="


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


def test_each_forge_has_a_section():
    assert tuple(NAMES.values()) == tuple(FORGES)
    assert list(SECTIONS)[: len(NAMES)] == list(NAMES)


@pytest.mark.parametrize("title", NAMES)
def test_section_names_address_and_proof(title, instance):
    text = SECTIONS[title]
    assert re.search(rf"https://ci\.example\.org/webhook/{NAMES[title]}[`/]", text)
    for sent in fixtures(instance, "end"):
        if sent.forge == NAMES[title]:
            assert sent.signs[0] in text.lower(), sent.name


def test_settings_of_all_sections_together(make_project, serve, forge_of, instance):
    """The settings of the page, in one file, with their variables set: what each forge sends is taken."""
    lines = [blocks(PAGE, "toml")[0], "[server.webhooks]\n"]
    for title in NAMES:
        (block,) = blocks(SECTIONS[title], "toml")
        lines.append(block.removeprefix("[server.webhooks]\n"))
    text = "".join(lines)
    assert SRHT in text
    project = make_project(unit="true")
    folder = project.path / ".git/cicdctl"
    folder.mkdir(mode=0o700)
    (folder / "config.toml").write_text(text.replace(SRHT, instance.public))
    project.env |= {name: f"{name} of 32 bytes or more" for name in re.findall(r"\$\{(\w+)\}", text)}
    server = serve(project)
    told = {one["forge"]: one for one in server.ask("GET", "/api/triggers").json["webhooks"]["forges"]}
    assert set(told) == set(NAMES.values()) and all(one["configured"] for one in told.values())
    (shown,) = [block for block in blocks(SECTIONS["sourcehut"], "sh") if "echo" in block]
    said = subprocess.run(["sh", "-c", shown], cwd=project.path, env=project.env, capture_output=True, text=True).stdout
    end = said.strip().removeprefix("https://ci.example.org/webhook/sourcehut/")
    forge = forge_of(server)
    (delivery,) = [one for one in fixtures(instance, end) if one.forge == "sourcehut"]
    assert forge.sends(delivery)[0] == 202
    # With the secret that a variable holds, not with the common one of the tests.
    assert forge.sends(next(one for one in fixtures(instance, end) if one.forge == "gogs"))[0] == 401


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="curl or openssl is not installed")
def test_command_that_needs_no_forge(hooked, serve):
    server = serve(hooked())
    (script,) = blocks(SECTIONS["Does it work"], "sh")
    env = {**server.project.env, "WEBHOOK_SECRET": SECRET.decode(), "no_proxy": "*"}
    script = script.replace("localhost:8080", f"localhost:{server.port}").replace(
        "http://localhost", "http://127.0.0.1"
    )
    done = subprocess.run(["sh", "-ec", script], env=env, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ('{"queued":1}\n', "") or done.stdout == '{"queued":1}', done
    assert '`{"queued":1}`' in SECTIONS["Does it work"]


def test_query_of_sourcehut_is_what_is_read():
    """What git.sr.ht answers to the query has the fields that are looked for."""
    (query,) = blocks(SECTIONS["sourcehut"], "graphql")
    leaves = iter([MAIN, OLD, NEW])

    def answer(words: Iterator[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        name = ""
        for word in words:
            if word == "}":
                return found
            if word == "{":
                inner = answer(words)
                if name == "updates":
                    found[name] = [inner]
                elif name == "GitEvent":  # a fragment adds its fields to those around it
                    found |= inner
                else:
                    found[name] = inner
            elif word not in ("...", "on"):
                name = word
                if name in ("name", "id"):
                    found[name] = next(leaves)
        return found

    document = {"data": answer(iter(query.split()))["query"]}
    delivery = read_delivery("sourcehut", json.dumps(document).encode(), {"x-webhook-event": "GIT_POST_RECEIVE"})
    assert [(hint.ref, hint.old, hint.new) for hint in delivery.hints] == [(MAIN, OLD, NEW)]


def test_answers_are_those_there_are():
    """Each status and each reason of the code is in the table, and the other way round."""
    table = re.findall(r"^\| (\d{3}[^|]*)\|", SECTIONS["Does it work"], re.MULTILINE)
    assert {int(status) for row in table for status in re.findall(r"\b\d{3}\b", row)} == {
        202,
        400,
        401,
        408,
        413,
        415,
        429,
        503,
    }
    code = Path(payloads.__file__).read_text()
    reasons = set(re.findall(r'"(ping|test|not a push|no branch or tag)"', code)) | {"repeated"}
    assert len(reasons) == 5 and all(f"`{reason}`" in SECTIONS["Does it work"] for reason in reasons)
