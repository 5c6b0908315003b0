"""Turns the signals that end a program into messages for the loop that runs the stages."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalsTo:
    """While open, SIGINT, SIGTERM and SIGHUP are told to `take(number)` instead of ending the process.

    Only the main thread may do that; in any other this does nothing. A signal that was ignored when the program
    started (`nohup` does it with SIGHUP) stays ignored.
    """

    def __init__(self, take: Callable[[int], object]) -> None:
        self._tell = take
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._take)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._tell(number)
