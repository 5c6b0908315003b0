"""Foreign text made fit for a message: one line, no control characters, cut to a length."""

from __future__ import annotations


def one_line(text: str, limit: int = 200) -> str:
    """Return the first line without what does not print; the last letter of a cut one is `…`."""
    lines = text.strip().splitlines()
    return cut("".join(letter if letter.isprintable() else " " for letter in lines[0]).strip(), limit) if lines else ""


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def branch_of(ref: str | None) -> str | None:
    """`refs/heads/main` → `main`; None for tags and everything else."""
    return ref.removeprefix("refs/heads/") if ref is not None and ref.startswith("refs/heads/") else None


def place_of(ref: str | None, commit: str | None) -> str:
    """Where a run was, in few words: the branch, `tag v1`, or the beginning of the commit."""
    if ref is None:
        return (commit or "")[:10]
    return f"tag {ref.removeprefix('refs/tags/')}" if ref.startswith("refs/tags/") else ref.removeprefix("refs/heads/")
