"""Locks that are held for moments, by one process after the other; a stopped holder stops nobody for ever."""

from __future__ import annotations

import time
from pathlib import Path

from cicdctl.errors import StoreError
from cicdctl.store import Lock, is_locked, lock

PATIENCE_S = 30.0
_PAUSE_S = 0.01


def take_turn(path: Path) -> Lock:
    """Take a lock, waiting for whoever holds it. Raises StoreError naming the holder after `PATIENCE_S`."""
    end = time.monotonic() + PATIENCE_S
    while True:
        held = lock(path, blocking=False)
        if held is not None:
            return held
        if time.monotonic() > end:
            who = is_locked(path) or "another process"
            raise StoreError(f"'{path}' has been held for {PATIENCE_S:.0f} s: {who}", hint="is that process stopped?")
        time.sleep(_PAUSE_S)
