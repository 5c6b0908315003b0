"""Workflows: Python functions that trigger pipelines and decide by their results what comes next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from cicdctl.errors import UsageError
from cicdctl.near_words import near_word


class Workflows:
    """Functions by name, each started in a thread of its own. Every method is safe from any thread."""

    def __init__(self) -> None:
        self._functions: dict[str, Callable[..., Any]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """What is registered, sorted."""
        return tuple(sorted(self._functions))

    def over(self, others: Workflows) -> Workflows:
        """Return those of both; where a name is in both, it is ours."""
        both = Workflows()
        both._functions = others._functions | self._functions
        return both

    def register(self, name: str, function: Callable[..., Any]) -> None:
        """Add a workflow, or replace the one of that name. Raises UsageError when `function` cannot be called."""
        if not callable(function):
            raise UsageError(f'workflow "{name}" is no function but {type(function).__name__}')
        self._functions[name] = function

    def start(self, name: str, /, *arguments: Any, **named: Any) -> Future[Any]:
        """Start a workflow and return at once. The future holds what it returns or raises.

        The thread keeps the program alive until the workflow has ended. Raises UsageError with the near word.
        """
        function = self._functions.get(name)
        if function is None:
            known = ", ".join(self.names) or "none is registered"
            raise UsageError(f'there is no workflow "{name}"{near_word(name, self.names)}', hint=f"workflows: {known}")
        return in_thread(partial(function, *arguments, **named), name=f"workflow-{name}")


def in_thread(function: Callable[[], Any], *, name: str, daemon: bool = False) -> Future[Any]:
    """Call a function in a thread of its own; a `daemon` does not keep the program alive."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # whatever it is, it belongs to who asks for the result
            future.set_exception(error)

    threading.Thread(target=work, name=name, daemon=daemon).start()
    return future
