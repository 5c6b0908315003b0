"""Where damaged files go: moved aside for people to look at, never deleted at once, never in the way."""

from __future__ import annotations

import os
import time
from pathlib import Path

KEEP_S = 7 * 86400.0


class Quarantine:
    """`<cache folder>/quarantine`; each move is told in `warnings`. Any thread. Never raises."""

    def __init__(self, folder: Path, warnings: list[str]) -> None:
        self.folder = folder
        self.warnings = warnings

    def warn(self, text: str) -> None:
        """Tell people, once per text."""
        if text not in self.warnings:
            self.warnings.append(text)

    def move(self, path: Path, reason: str) -> Path | None:
        """Rename `path` into the quarantine; None when that was impossible or somebody else did it before."""
        target = self._place(path.name)
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            path.rename(target)
            os.utime(target, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.warn(f"{reason}; '{path}' could not be moved to quarantine: {error.strerror}")
            return None
        self.warn(f"{reason}; kept as '{target}'")
        return target

    def keep(self, name: str, content: bytes, reason: str) -> None:
        """Write down a damaged record that is not a file of its own."""
        target = self._place(name)
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(content)
        except OSError as error:
            self.warn(f"{reason}; it could not be kept in quarantine: {error.strerror}")
            return
        self.warn(f"{reason}; kept as '{target}'")

    def expired(self, now: float) -> list[Path]:
        """List what has been here for more than 7 days."""
        try:
            with os.scandir(self.folder) as entries:
                return [
                    Path(entry.path) for entry in entries if now - entry.stat(follow_symlinks=False).st_mtime > KEEP_S
                ]
        except OSError:
            return []

    def _place(self, name: str) -> Path:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        return self.folder / f"{stamp}-{os.urandom(4).hex()}-{name[:100]}"
