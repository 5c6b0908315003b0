"""The admin folder of a slot, which makes it a linked worktree of the mirror: written, compared, never believed."""

from __future__ import annotations

import os
from pathlib import Path

from cicdctl.git.folders import FOLDER_FLAGS, Trash, replace_file

# Ends the name of an admin folder that is being written, by whoever holds the lock of its slot.
UNFINISHED = ".new"


class Admin:
    """The admin folder of one slot: what makes it a linked worktree of the mirror."""

    def __init__(self, mirror: Path, slot_id: str, slot: Path) -> None:
        self.path = mirror / "worktrees" / slot_id
        self._git_file = slot / ".git"
        self._git_text = b"gitdir: " + os.fsencode(self.path) + b"\n"
        self._slot_text = os.fsencode(self._git_file) + b"\n"

    def write(self, commit: str, index: bytes, trash: Trash) -> None:
        """Write all files anew; what was there goes to the trash. Raises OSError."""
        beside = self.path.with_name(self.path.name + UNFINISHED)
        for path in (self.path, self._git_file, beside):
            if os.path.lexists(path):
                trash.throw(path)
        beside.mkdir(mode=0o755)
        for name, data in self._files(commit).items():
            (beside / name).write_bytes(data)
        (beside / "index").write_bytes(index)
        beside.rename(self.path)
        self._git_file.write_bytes(self._git_text)

    def point_to(self, commit: str, index: bytes | None) -> None:
        """Change commit and index of a folder that is intact."""
        if index is not None:
            (self.path / "index.lock").write_bytes(index)
            (self.path / "index.lock").replace(self.path / "index")
        replace_file(self.path / "HEAD", commit.encode() + b"\n")

    def is_intact(self, commit: str, index: bytes) -> bool:
        """Whether every file is what we wrote and nothing else is there."""
        try:
            files = {**self._files(commit), "index": index}
            at = os.open(self.path, FOLDER_FLAGS)
            try:
                if set(os.listdir(at)) != files.keys():  # noqa: PTH208 - a descriptor
                    return False
                intact = all(_holds(name, data, at) for name, data in files.items())
            finally:
                os.close(at)
            return intact and _holds(self._git_file, self._git_text, None)
        except OSError:
            return False

    def _files(self, commit: str) -> dict[str, bytes]:
        return {
            "HEAD": commit.encode() + b"\n",
            "commondir": b"../..\n",
            "gitdir": self._slot_text,
            "locked": b"a worktree of cicdctl\n",
        }


def _holds(path: str | Path, data: bytes, at: int | None) -> bool:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    try:
        return os.fstat(file).st_size == len(data) and os.read(file, len(data) + 1) == data
    finally:
        os.close(file)
