"""Which artifact paths are allowed: relative, normal, and never a repository's own folder."""

from __future__ import annotations

from cicdctl.errors import StoreError

MAX_PATH_BYTES = 4095
MAX_PART_BYTES = 255
MAX_DEPTH = 100

# Code points that HFS+ ignores in names, so that ".g<ZWNJ>it" is ".git" there (git: CVE-2014-9390).
_IGNORED = frozenset([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])


def check_path(path: bytes) -> tuple[bytes, ...]:
    """Return the parts of a relative path. Raises StoreError for one that could leave its root or reach `.git`."""
    problem = _problem(path)
    if problem is not None:
        shown = path[:120].decode("utf-8", "backslashreplace").encode("unicode_escape").decode("ascii")
        raise StoreError(f"refused artifact path '{shown}': {problem}")
    return tuple(path.split(b"/"))


def _problem(path: bytes) -> str | None:
    if not path or path.startswith(b"/"):
        return "it is empty or absolute"
    if len(path) > MAX_PATH_BYTES:
        return "it is too long"
    if b"\0" in path:
        return "it holds a NUL"
    parts = path.split(b"/")
    if len(parts) > MAX_DEPTH:
        return "it is too deep"
    for part in parts:
        if part in (b"", b".", b".."):
            return f"it holds the part '{part.decode('ascii')}'"
        if len(part) > MAX_PART_BYTES:
            return "a part of it is too long"
        if is_git_folder(part):
            return "it reaches into a repository's own folder"
    return None


def is_git_folder(part: bytes) -> bool:
    """Whether some file system takes this name for `.git`: case, short names, ignored code points, streams."""
    # Cheap first: nearly every name fails here.
    if b"." not in part and b"~" not in part:
        return False
    text = part.decode("utf-8", "surrogateescape")
    if not text.isascii():
        text = "".join(letter for letter in text if ord(letter) not in _IGNORED)
    name = text.partition(":")[0].partition("\\")[0].rstrip(". ").lower()
    return name in (".git", "git~1")
