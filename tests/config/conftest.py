"""The whole example of the contract, and short ways to read a text or its problems."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cicdctl.config import Config, read_config
from cicdctl.errors import ConfigError

EXAMPLE = Path(__file__).with_name("example.toml")


@pytest.fixture(scope="session")
def example() -> bytes:
    return EXAMPLE.read_bytes()


@pytest.fixture
def read() -> Callable[[str], Config]:
    return lambda text: read_config(text, source=".cicd.toml")


@pytest.fixture
def problems() -> Callable[[str | bytes], list[str]]:
    """Return the problems of a text, none when it is right."""

    def find(text: str | bytes) -> list[str]:
        try:
            read_config(text, source=".cicd.toml")
        except ConfigError as error:
            return list(error.problems)
        return []

    return find
