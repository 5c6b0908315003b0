"""Durations and sizes: how people write them, and how we show them."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)[bB]?")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_duration(value: float | str) -> float:
    """Read seconds from a number or from text such as "90s", "30m", "1h30m".

    Raises ValueError when it is neither, or negative.
    """
    if isinstance(value, bool):
        raise ValueError('a duration is a number of seconds or text such as "90s"')
    if isinstance(value, int | float):
        if value < 0 or value != value or value == float("inf"):
            raise ValueError("a duration cannot be negative or endless")
        return float(value)
    text = value.strip()
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f'{value!r} is not a duration; write seconds or "90s", "30m", "1h30m"')
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


def parse_size(value: int | str) -> int:
    """Read bytes from a number or from text: "512MB" and "4GB" are powers of 1000, "1GiB" of 1024.

    Raises ValueError when it is neither, or negative.
    """
    if isinstance(value, bool):
        raise ValueError('a size is a number of bytes or text such as "512MB"')
    if isinstance(value, int):
        if value < 0:
            raise ValueError("a size cannot be negative")
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{value!r} is not a size; write bytes or "512MB", "4GB", "1GiB"')
    number, prefix, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[prefix.upper()])


def format_duration(seconds: float) -> str:
    """Show seconds as people read them: 0.04s, 3.2s, 1m05s, 2h03m."""
    if seconds < 1:
        return f"{seconds:.2f}s"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m"


def format_size(size_bytes: int) -> str:
    """Show bytes as people read them, in powers of 1000: 812 B, 1.5 MB."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def count(number: int, noun: str, plural: str = "") -> str:
    """Return `1 stage` or `2 stages`; `plural` where it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
