"""Whether an answer is what openapi.json says: its status, its type and every field of it."""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from typing import Any

import jsonschema

from cicdctl.server.api.contract import FILE

CONTRACT = json.loads(FILE.read_text())


def operation(method: str, path: str) -> dict[str, Any] | None:
    """Return what the contract says of an address; None when it does not know it."""
    plain = path.partition("?")[0]
    for template, operations in CONTRACT["paths"].items():
        name = {"HEAD": "get"}.get(method, method.lower())
        if name in operations and _pattern(template).fullmatch(plain):
            return operations[name]
    return None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    # Names of stages may hold `/`, as the routes know; numbers are numbers.
    kinds = {"number": r"\d+", "stage": r".+"}
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile("".join(re.escape(p) if i % 2 == 0 else kinds.get(p, r"[^/]+") for i, p in enumerate(parts)))


def check_answer(method: str, path: str, status: int, content_type: str, body: bytes) -> None:
    """Raise AssertionError unless the contract promises such an answer; addresses that it does not know are passed."""
    found = operation(method, path)
    if found is None or status in (404, 405, 421) and not body.startswith(b'{"error"'):
        return
    if status in (405, 421) or b'"code":"not_found"' in body:  # refused before any address is looked at
        return
    responses = found["responses"]
    assert str(status) in responses, f"{method} {path} answers {status}: {body[:500]!r}"
    content = responses[str(status)].get("content", {})
    kind = content_type.partition(";")[0]
    assert kind in content, f"{method} {path} answers {content_type}"
    if kind == "application/json" and method != "HEAD":
        try:
            _validator(json.dumps(content[kind]["schema"])).validate(json.loads(body))
        except jsonschema.ValidationError as error:
            raise AssertionError(f"{method} {path}: {error.message} at {error.json_path}") from error


@cache
def _validator(schema: str) -> jsonschema.Draft202012Validator:
    """A validator that refuses fields nobody has written down."""
    whole = {**json.loads(schema), "components": copy.deepcopy(CONTRACT["components"])}
    _close(whole)
    return jsonschema.Draft202012Validator(whole)


def _close(node: Any) -> None:
    if isinstance(node, dict):
        if "properties" in node and "additionalProperties" not in node:
            node["additionalProperties"] = False
        for part in node.values():
            _close(part)
    elif isinstance(node, list):
        for part in node:
            _close(part)
