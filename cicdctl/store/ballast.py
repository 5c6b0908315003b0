"""Space that is held back so that the end of a run can still be stored when the disk is full."""

from __future__ import annotations

import os
from pathlib import Path

from cicdctl.store.folders import create_private_file

BALLAST_FILE = "ballast"
BALLAST_BYTES = 16 << 20
# On a disk that has less room the ballast would be what fills it.
_ROOM_BYTES = 4 * BALLAST_BYTES


def keep_ballast(folder: Path) -> None:
    """Hold back 16 MB in `folder` unless they are, or there is little room. One look when nothing is to do.

    Raises OSError only when the folder is not ours to write.
    """
    path = folder / BALLAST_FILE
    try:
        if path.stat().st_size == BALLAST_BYTES:
            return
        path.unlink()
    except FileNotFoundError:
        pass
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize < _ROOM_BYTES:
        return
    try:
        fd = create_private_file(path)
    except FileExistsError:
        return  # another process was faster
    try:
        os.posix_fallocate(fd, 0, BALLAST_BYTES)
    except OSError:
        # The room is gone since the look, or there is a quota.
        path.unlink(missing_ok=True)
    finally:
        os.close(fd)


def release_ballast(folder: Path) -> bool:
    """Give the space back; False when none was held. It is held again when there is room again."""
    try:
        (folder / BALLAST_FILE).unlink()
    except OSError:
        return False
    return True
