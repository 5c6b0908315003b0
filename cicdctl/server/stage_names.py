"""Stages in addresses: a cell of a matrix may have a name that no path can hold."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from cicdctl.runner.places import file_name


def slug(stage: str) -> str:
    """Return a stage's name as a part of an address: as it is when plain, else with a digest that keeps it unique."""
    return quote(file_name(stage), safe="=,")


def find_name(stages: Iterable[str], text: str) -> str | None:
    """Return the stage that a part of an address means; None when there is none."""
    names = list(stages)
    return text if text in names else next((name for name in names if file_name(name) == text), None)
