"""Private folders and files on file systems that can be trusted with locks."""

from __future__ import annotations

import os
from pathlib import Path

from cicdctl.errors import StoreError

# Their flock or shared memory does not reach other hosts: SQLite on them loses data without a word.
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "fuseblk", "fuse", "lustre", "ncpfs"})
# The root of a rootless container; one kernel, local files.
_LOCAL_FUSE = "fuse.fuse-overlayfs"


def make_private_folder(folder: Path) -> None:
    """Create `folder` and its parents, itself 0700 whatever the umask; one that exists keeps its mode."""
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if folder.is_dir():
            return
        raise StoreError(f"'{folder}' is in the way: it is not a folder", hint="move it and try again") from None
    except OSError as error:
        raise StoreError(
            f"cannot create '{folder}': {error.strerror}", hint="make the folder above it writable"
        ) from error
    folder.chmod(0o700)


def create_private_file(path: Path) -> int:
    """Create `path` 0600 whatever the umask and return a descriptor for writing; FileExistsError if it is there."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.fchmod(fd, 0o600)
    return fd


def sync_folder(folder: Path) -> None:
    """Make names created, renamed or removed in `folder` survive a power loss."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def network_file_system(folder: Path, *, mountinfo: str = "/proc/self/mountinfo") -> str | None:
    """Name the type of the network or FUSE file system that holds `folder`; None when it is local or unknown."""
    try:
        table = Path(mountinfo).read_bytes()
        device = folder.stat().st_dev
    except OSError:
        return None
    number = b"%d:%d" % (os.major(device), os.minor(device))
    for row in table.splitlines():
        mount, separator, source = row.partition(b" - ")
        if separator and mount.split(b" ", 3)[2:3] == [number]:
            kind = source.split(b" ", 1)[0].decode("ascii", "replace")
            is_network = kind in _NETWORK or (kind.startswith("fuse.") and kind != _LOCAL_FUSE)
            return kind if is_network else None
    return None


def refuse_network(folder: Path, what: str, *, mountinfo: str = "/proc/self/mountinfo") -> None:
    """Raise StoreError when `folder` is on a network or FUSE file system; `what` names what would live there."""
    kind = network_file_system(folder, mountinfo=mountinfo)
    if kind is not None:
        raise StoreError(
            f"'{folder}' is on a network file system ({kind}), where {what} would be damaged",
            hint="move the repository to a local disk",
        )
