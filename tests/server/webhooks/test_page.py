"""docs/webhooks.md and the page of each forge are done as they are written: settings, addresses, query, command, answers."""

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

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "webhooks.md").read_text()
NAMES = {
    "github": "github",
    "gitlab": "gitlab",
    "gitea": "gitea",
    "forgejo": "forgejo",
    "gogs": "gogs",
    "bitbucket-cloud": "bitbucket",
    "bitbucket-data-center": "bitbucket-dc",
    "sourcehut": "sourcehut",
}
PAGES = {name: (DOCS / "forges" / f"{name}.md").read_text() for name in NAMES}
(DOES_IT_WORK,) = re.findall(r"^## Does it work\n(.*?)(?=^## )", PAGE, re.DOTALL | re.MULTILINE)
SRHT = "uX7KWyyDNMaBma4aVbJ/cbUQpdjqczuCyK/HxzV/u+4="


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


def with_variables(text: str) -> dict[str, str]:
    return {name: f"{name} of 32 bytes or more" for name in re.findall(r"\$\{(\w+)\}", text)}


def test_each_forge_has_a_page():
    assert tuple(NAMES.values()) == tuple(FORGES)
    assert {path.stem for path in (DOCS / "forges").iterdir()} == set(NAMES)
    assert re.findall(r"\(forges/([\w-]+)\.md\)", PAGE) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_page_names_address_and_proof(name, instance):
    assert re.search(rf"https://ci\.example\.org/webhook/{NAMES[name]}[`/]", PAGES[name])
    (row,) = [line for line in PAGE.splitlines() if f"(forges/{name}.md)" in line]
    for sent in fixtures(instance, "end"):
        if sent.forge == NAMES[name]:
            assert sent.signs[0] in PAGES[name].lower(), sent.name
            assert sent.signs[0] in row.lower(), sent.name


@pytest.mark.parametrize("name", NAMES)
def test_file_of_a_page_is_valid(name, make_project):
    """With its variables, which it also exports; without one of them it says which."""
    (text,) = blocks(PAGES[name], "toml")
    project = make_project(unit="true")
    project.write("ci.toml", text)
    variables = with_variables(text)
    assert set(re.findall(r"^export (\w+)=", PAGES[name], re.MULTILINE)) == set(variables)
    project.cicdctl("config", "validate", "--config", "ci.toml", env=variables).passes()
    for missing in variables:
        without = {one: value for one, value in variables.items() if one != missing}
        assert missing in project.cicdctl("config", "validate", "--config", "ci.toml", env=without).fails(2).stderr


def test_way_of_a_page_leads_to_a_run(make_project, serve, instance, forge_of, wait_for, runs_of):
    """The file of sourcehut's page, for a repository elsewhere: its own address, a delivery, and the run of what moved."""
    origin = make_project('[pipelines.build]\ntrigger = "on_commit"\n[pipelines.build.stages]\nunit = "true"\n')
    (text,) = blocks(PAGES["sourcehut"], "toml")
    text = text.replace("git@git.sr.ht:~acme/app", f"file://{origin.path}").replace(SRHT, instance.public)
    text = text.replace('[server]\nurl = "https://ci.example.org"\n', "")  # else it names that instead of its port
    origin.write("ci.toml", text.replace("port = 8080", 'port = 8080, interval = "1h"'))
    server = serve(origin, "--config", "ci.toml")
    (folder,) = (Path(origin.env["HOME"]) / ".local/share/cicdctl/repositories").iterdir()
    (shown,) = [block for block in blocks(PAGES["sourcehut"], "sh") if "echo" in block]
    shown = shown.replace("FOLDER", str(folder))
    said = subprocess.run(["sh", "-c", shown], env=origin.env, capture_output=True, text=True).stdout
    end = said.strip().removeprefix("https://ci.example.org/webhook/sourcehut/")
    wait_for(lambda: [one for one in server.ask("GET", "/api/triggers").json["monitors"] if one["looked_at"]])
    commit = origin.commit("second")
    (delivery,) = [one for one in fixtures(instance, end) if one.forge == "sourcehut"]
    assert forge_of(server).sends(delivery)[0] == 202
    wait_for(lambda: [run for run in runs_of(server) if run["verdict"]], what="the run")
    assert [run["commit"] for run in runs_of(server)] == [commit]


def test_settings_of_all_pages_together(make_project, serve, forge_of, instance):
    """In one file, with their variables set: what each forge sends is taken with the secret of its page."""
    lines = [blocks(PAGE, "toml")[0], "[server.webhooks]\n"]
    for name in NAMES:
        (block,) = blocks(PAGES[name], "toml")
        (line,) = re.findall(r"^\[server\.webhooks\]\n(.*\n)", block, re.MULTILINE)
        lines.append(line)
    text = "".join(lines)
    assert SRHT in text
    project = make_project(unit="true")
    folder = project.path / ".git/cicdctl"
    folder.mkdir(mode=0o700)
    (folder / "config.toml").write_text(text.replace(SRHT, instance.public))
    project.env |= with_variables(text)
    server = serve(project)
    told = {one["forge"]: one for one in server.ask("GET", "/api/triggers").json["webhooks"]["forges"]}
    assert set(told) == set(NAMES.values()) and all(one["configured"] for one in told.values())
    # With the secret that a variable holds, not with the common one of the tests.
    forge = forge_of(server)
    assert forge.sends(next(one for one in fixtures(instance, "end") if one.forge == "gogs"))[0] == 401


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="curl or openssl is not installed")
def test_command_that_needs_no_forge(hooked, serve):
    server = serve(hooked())
    (script,) = blocks(DOES_IT_WORK, "sh")
    env = {**server.project.env, "WEBHOOK_SECRET": SECRET.decode(), "no_proxy": "*"}
    script = script.replace("localhost:8080", f"localhost:{server.port}").replace(
        "http://localhost", "http://127.0.0.1"
    )
    done = subprocess.run(["sh", "-ec", script], env=env, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ('{"queued":1}\n', "") or done.stdout == '{"queued":1}', done
    assert '`{"queued":1}`' in DOES_IT_WORK


def test_query_of_sourcehut_is_what_is_read():
    """What git.sr.ht answers to the query has the fields that are looked for."""
    (query,) = blocks(PAGES["sourcehut"], "graphql")
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
    table = re.findall(r"^\| (\d{3}[^|]*)\|", DOES_IT_WORK, re.MULTILINE)
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
    assert len(reasons) == 5 and all(f"`{reason}`" in DOES_IT_WORK for reason in reasons)
