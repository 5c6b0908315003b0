"""An event loop of one's own: the browser of other tests leaves its loop running in the thread of the tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

_T = TypeVar("_T")


def run_async(function: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Do as `asyncio.run(function())` does, in a thread of its own."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(lambda: asyncio.run(function())).result()
