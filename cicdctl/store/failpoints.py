"""Named points at which a test may make the process vanish, as if killed."""

from __future__ import annotations

import os
from pathlib import Path

MARKER = "failpoints-allowed"
EXIT_STATUS = 137

_armed: str | None = None
_countdown = 0


def arm(name: str, state_folder: Path) -> bool:
    """Make `reach(name)` end the process; `name:3` at the third time. Says whether it is armed.

    Counts only beside the test marker file in the state folder, so no variable can end a real run.
    """
    global _armed, _countdown
    if not name or not (state_folder / MARKER).is_file():
        return False
    point, _, count = name.partition(":")
    _countdown = int(count) if count.isdigit() else 1
    _armed = point
    return True


def reach(name: str) -> None:
    """End the process with status 137, without any clean-up, when `name` is armed."""
    if _armed is not None:
        _count(name)


def _count(name: str) -> None:
    global _countdown
    if name == _armed:
        _countdown -= 1
        if _countdown <= 0:
            os._exit(EXIT_STATUS)
