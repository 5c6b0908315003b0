"""docs/api.md is openapi.json for people: `python tests/server/test_api_page.py` writes it anew. Its examples work."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cicdctl.server.api.contract import FILE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "api.md"
GENERATED = "<!-- From here on: python tests/server/test_api_page.py -->\n"
CONTRACT = json.loads(FILE.read_text())


def generated() -> str:
    """Return every operation by its tag, then every shape."""
    parts = []
    for tag in CONTRACT["tags"]:
        parts.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}\n")
        for path, methods in CONTRACT["paths"].items():
            for method, told in methods.items():
                if told["tags"] == [tag["name"]]:
                    parts.append("\n".join(_operation(method.upper(), path, told)))
    parts.append("## Shapes\n")
    for name, schema in CONTRACT["components"]["schemas"].items():
        parts.append("\n".join(_shape(name, schema)))
    return "\n".join(parts)


def _operation(method: str, path: str, told: dict[str, Any]) -> Iterator[str]:
    yield f"### {method} {path}\n"
    yield f"{told['summary']}. Scope: `{told['x-scope']}`.\n"
    if told.get("description"):
        yield f"{told['description']}\n"
    rows = [
        (f"`{one['name']}`", one["in"], _kind(one["schema"]), one["description"]) for one in told.get("parameters", ())
    ]
    body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    for name, schema in body.get("properties", {}).items():
        rows.append((f"`{name}`", "body", _kind(schema), schema.get("description", "")))
    if rows:
        yield from _table(("", "in", "type", ""), rows)
    answers = []
    for status, answer in told["responses"].items():
        if status < "400":
            kinds = [_kind(content.get("schema", {})) or kind for kind, content in answer.get("content", {}).items()]
            answers.append((status, answer["description"], ", ".join(kinds)))
    refused = ", ".join(status for status in told["responses"] if status >= "400")
    yield from _table(("answer", "", ""), [*answers, (refused, "refused", "[Error](#error)")])
    for example in told.get("x-examples", ()):
        yield f"```sh\n{example}\n```\n"


def _shape(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    if schema.get("description"):
        yield f"{schema['description']}\n"
    rows = [
        (f"`{field}`", _kind(told), told.get("description", "")) for field, told in schema.get("properties", {}).items()
    ]
    if rows:
        yield from _table(("field", "type", ""), rows)
    else:
        yield f"{_kind(schema)}\n"


def _kind(schema: dict[str, Any]) -> str:
    """Say in a few words what a schema lets through."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for joined in ("anyOf", "oneOf"):
        if joined in schema:
            return " or ".join(_kind(one) for one in schema[joined])
    if "enum" in schema:
        return " ".join(f"`{json.dumps(word) if word is None else word}`" for word in schema["enum"])
    kind = schema.get("type", "")
    kind = " or ".join(kind) if isinstance(kind, list) else kind
    if "items" in schema:
        return f"{kind} of {_kind(schema['items'])}"
    if kind.startswith("object") and isinstance(schema.get("additionalProperties"), dict):
        return f"{kind} of {_kind(schema['additionalProperties'])}"
    if kind.startswith("object") and "properties" in schema:
        return "{" + ", ".join(f"`{name}`: {_kind(told)}" for name, told in schema["properties"].items()) + "}"
    if "default" in schema and schema["default"] != "":
        kind += f", default `{json.dumps(schema['default'])}`"
    if schema.get("maximum", 10**9) < 10**9:
        kind += f", at most {schema['maximum']}"
    if "maxLength" in schema:
        kind += f", at most {schema['maxLength']} characters"
    return kind


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""


def write_page() -> None:
    """Replace the generated part; what people wrote above it stays."""
    written, mark, _ = PAGE.read_text().partition(GENERATED)
    assert mark, f"{PAGE} has lost its line {GENERATED!r}"
    PAGE.write_text(written + GENERATED + "\n" + generated())


def test_page_is_what_the_contract_says():
    _, mark, rest = PAGE.read_text().partition(GENERATED)
    assert mark
    assert rest == "\n" + generated(), "docs/api.md is old: run python tests/server/test_api_page.py"


def test_every_code_of_a_refusal_is_in_the_table():
    """And the table knows none that is never told."""
    folder = ROOT / "cicdctl" / "server"
    files = (path for place in ("*.py", "api/*.py", "guard/*.py") for path in folder.glob(place))
    source = "\n".join(path.read_text() for path in files)
    told = set(re.findall(r'Refusal\(\s*\d{3},\s*"(\w+)"', source)) | set(re.findall(r'\(\d{3}, "(\w+)"\)', source))
    table = PAGE.read_text().partition(GENERATED)[0].partition("| code |")[2]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == told


CONFIG = """
[pipelines.build.stages]
unit = { run = "echo hi > out; echo line", artifacts = ["out"] }
[pipelines.deploy]
environment = "production"
[pipelines.deploy.stages]
ship = "true"
"""


def test_examples_work(make_project, serve, tmp_path):
    """Each as a person would paste it; those that say `-f` have to succeed."""
    from .conftest import operator_file

    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl here")
    project = make_project(CONFIG)
    operator_file(project, '[orchestrator.trust]\nrefs = ["*"]\n')
    server = serve(project)
    assert server.run(wait="end") == 1
    server.run("deploy", wait="end")
    env = {"PATH": project.env["PATH"], "CICD": server.url, "TOKEN": server.token("admin"), "HOME": str(tmp_path)}
    folder = tmp_path / "examples"
    folder.mkdir()
    tried = 0
    for methods in CONTRACT["paths"].values():
        for told in methods.values():
            for example in told.get("x-examples", ()):
                done = subprocess.run(
                    ["bash", "-c", example], cwd=folder, env=env, capture_output=True, text=True, timeout=60
                )
                assert done.returncode == 0, (example, done.stdout, done.stderr)
                tried += 1
    assert tried >= 20
    end = [run["number"] for run in server.ask("GET", "/api/runs?limit=200&active=true").json["runs"]]
    for number in end:
        server.wait_for_run(number)


if __name__ == "__main__":
    write_page()
