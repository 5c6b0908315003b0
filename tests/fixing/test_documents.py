"""What programs read of fixes: no field of a JSON document goes or changes its type while `version` stays.

A field may come: delete documents.json, run this, and look at what has changed before it is committed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).with_name("documents.json")
ASKED = {
    "forecast": ("fix", "1", "--dry-run", "--json"),
    "failure": ("fix", "explain", "1", "--json"),
    "fix": ("fix", "1", "--json"),
    "fixes": ("fix", "list", "--json"),
    "shown": ("fix", "show", "1", "--json"),
    "proof": ("fix", "verify-proof", "cicdctl/fix/1-lint", "--json"),
}
# Their names are data: of tests, of runs' purposes, of rules.
_OPEN = ("runs", "counts", "suites", "redactions", "tool_versions")


def shape(value: Any, path: str = "") -> dict[str, str]:
    """Return every field by its path, with the type it has; what is null has none."""
    if isinstance(value, dict):
        names = [] if path.rpartition(".")[2] in _OPEN else sorted(value)
        found = {path: "object"} if path else {}
        return found | {at: kind for name in names for at, kind in shape(value[name], f"{path}.{name}".strip(".")).items()}
    if isinstance(value, list):
        return {path: "array"} | {at: kind for one in value for at, kind in shape(one, f"{path}[]").items()}
    return {path: "null" if value is None else type(value).__name__}


def shapes(project) -> dict[str, dict[str, str]]:
    found = {}
    for name, argv in ASKED.items():
        document = json.loads(project.cicdctl(*argv).passes().stdout)
        assert document["version"] == 1
        found[name] = shape(document)
    return found


def test_fields_stay(broken):
    """79: each golden field is there with its type; one that is new is written down."""
    project = broken()
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    found = shapes(project)
    if not GOLDEN.exists():
        GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
        pytest.fail(f"{GOLDEN.name} is written anew: look at it")
    assert found == json.loads(GOLDEN.read_text())
