"""docs/configuration.md says what the rules say, and its examples work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cicdctl.config import read_config
from cicdctl.config.reference import renew
from cicdctl.config.rules import PROJECT_FILE
from cicdctl.config.table import OneOf, Table

TEXT = (Path(__file__).parent.parent.parent / "docs" / "configuration.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_tables_are_up_to_date():
    """When this fails, write `renew(text)` back to the file."""
    assert renew(TEXT) == TEXT


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example_is_valid(example):
    """Each example can be copied as it is."""
    read_config(example, source="docs/configuration.md")


def test_there_are_examples():
    assert len(EXAMPLES) >= 8


def keys(shape):
    if isinstance(shape, Table):
        for key in shape.keys:
            yield key
            yield from keys(key.shape)
    for part in shape.of if isinstance(shape, OneOf) else [getattr(shape, "of", None)]:
        if part is not None:
            yield from keys(part)


def test_every_key_is_in_a_table():
    """Also those of tables that are nested deeply."""
    rows = {row.split("`")[1] for row in TEXT.splitlines() if row.startswith("| `")}
    missing = {key.name for key in keys(PROJECT_FILE)} - rows
    assert not missing


def test_contents_lead_to_headings():
    """Each link of the list at the top has its heading."""
    headings = {re.sub(r"[^a-z0-9 -]", "", line[3:].lower()).replace(" ", "-") for line in TEXT.splitlines() if line.startswith("## ")}
    assert set(re.findall(r"^- \[.*\]\(#(.*)\)$", TEXT, re.MULTILINE)) == headings
