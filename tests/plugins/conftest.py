"""A plugin manager with one plugin, in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from cicdctl.model import Run, RunState, RunSummary, TriggerKind, Verdict
from cicdctl.plugin_manager import PluginManager

RUN = Run(number=7, pipeline="build", commit="c", tree="t", trigger=TriggerKind.MANUAL, state=RunState.DONE, verdict=Verdict.PASSED)


@pytest.fixture
def run() -> Run:
    return RUN


@pytest.fixture
def summary() -> RunSummary:
    return RunSummary(run=RUN)


@pytest.fixture
def make_manager() -> Iterator[Callable[..., PluginManager]]:
    """Return a manager of the given plugins; each is an object, or a dictionary of marked functions."""
    made: list[PluginManager] = []

    def make(builtin: bool = False, options: dict[str, Any] | None = None, /, **plugins: Any) -> PluginManager:
        manager = PluginManager(**(options or {}))
        made.append(manager)
        for name, thing in plugins.items():
            manager.register(SimpleNamespace(**thing) if isinstance(thing, dict) else thing, name, builtin=builtin)
        return manager

    yield make
    for manager in made:
        manager.close()
