"""Five-field cron expressions: checked here, so that a schedule that can never fire is told at once."""

from __future__ import annotations

from cicdctl.config.problems import quote

SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_MONTH_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def parse_cron(text: str) -> tuple[frozenset[int], ...]:
    """Return the values of the five fields: minute, hour, day, month, day of the week (Sunday is 0).

    Raises ValueError in the reader's words.
    """
    fields = expand_cron(text).split()
    if len(fields) != 5:
        raise ValueError(f'must have five fields such as "0 3 * * *", not {quote(text)}')
    parsed = []
    for field, (name, low, high, words) in zip(fields, _FIELDS, strict=True):
        values: set[int] = set()
        for part in field.split(","):
            values.update(_parse_part(part, name, low, high, words))
        parsed.append(frozenset(values))
    parsed[4] = frozenset(value % 7 for value in parsed[4])
    if fields[4].startswith("*") and not any(
        day <= _MONTH_LENGTHS[month - 1] for day in parsed[2] for month in parsed[3]
    ):
        raise ValueError(f"can never fire: no such day in these months, in {quote(text)}")
    return tuple(parsed)


def expand_cron(text: str) -> str:
    """Return the five fields that a word such as @daily stands for, or the text itself."""
    return SHORTHANDS.get(text.strip().lower(), text.strip())


def check_cron(text: str) -> str | None:
    """Say what is wrong with a cron expression, or None."""
    if len(text) > 200:
        return "is too long for a cron expression"
    try:
        parse_cron(text)
    except ValueError as error:
        return str(error)
    return None


def check_timezone(name: str) -> str | None:
    """Say what is wrong with a time zone's name; where the machine knows no zones, only its form counts."""
    if not name.isascii() or not name.replace("/", "a").replace("_", "a").replace("-", "a").replace("+", "a").isalnum():
        return f'must be a time zone such as "Europe/Berlin", not {quote(name)}'
    if name == "UTC":
        return None
    import zoneinfo  # only schedules that name a zone pay for it

    try:
        zoneinfo.ZoneInfo(name)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        if zoneinfo.available_timezones():
            return f'must be a time zone such as "Europe/Berlin", not {quote(name)}'
    return None


def _parse_part(part: str, name: str, low: int, high: int, words: dict[str, int]) -> range:
    span, slash, step_text = part.partition("/")
    if slash and not (_is_number(step_text) and int(step_text) > 0):
        raise ValueError(f"{name}: a step is a number above 0, not {quote(step_text)}")
    step = int(step_text) if slash else 1
    if span == "*":
        return range(low, high + 1, step)
    first_text, dash, last_text = span.partition("-")
    first = _parse_value(first_text, name, low, high, words)
    # "5/15" means from 5 to the end, every 15.
    last = _parse_value(last_text, name, low, high, words) if dash else high if slash else first
    if last < first:
        raise ValueError(f"{name}: {quote(span)} runs backwards")
    return range(first, last + 1, step)


def _parse_value(text: str, name: str, low: int, high: int, words: dict[str, int]) -> int:
    value = words.get(text.lower())
    if value is None and _is_number(text):
        value = int(text)
    if value is None or not low <= value <= high:
        raise ValueError(f"{name} must be between {low} and {high}, not {quote(text)}")
    return value


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4
