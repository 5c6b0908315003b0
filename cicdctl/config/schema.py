"""The JSON Schema of `.cicd.toml`, for editors; made from the rules, so that it cannot disagree with them."""

from __future__ import annotations

from typing import Any

from cicdctl.config.rules import OPERATOR_FILE, PROJECT_FILE


def json_schema(*, operator: bool = False) -> dict[str, Any]:
    """Return the schema (draft 2020-12) of a project's file, or with `operator` of an operator's own.

    It says what single keys may hold. That names lead somewhere, such as `needs`, only reading tells.
    """
    table = OPERATOR_FILE if operator else PROJECT_FILE
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cicdctl configuration" if operator else ".cicd.toml",
        "description": "Pipelines and stages of cicdctl, and the operator's settings.",
    } | table.schema()
