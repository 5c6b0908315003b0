"""The fixture for tests that need the service: `from messages_api.fixture import messages_api` in a conftest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from messages_api.server import MessagesApi


@pytest.fixture
def messages_api() -> Iterator[MessagesApi]:
    """A Messages API of its own for one test, which sent nothing that the service would refuse."""
    with MessagesApi() as api:
        yield api
    assert not api.violations, api.violations
