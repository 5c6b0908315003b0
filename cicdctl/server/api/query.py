"""What the part of an address behind `?` says: known names, each once, of the form that is wanted."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from starlette.requests import Request

from cicdctl.near_words import near_word
from cicdctl.server.answers import Refusal

MOST_NUMBER = 10**15 - 1


def read_query(request: Request, *names: str) -> Mapping[str, str]:
    """Return the values by name. Raises Refusal for one that is not known, or is there twice."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in names:
            hint = f"known: {', '.join(names)}" if names else "none is known here"
            raise Refusal(400, "query", f'unknown parameter "{name[:60]}"{near_word(name[:60], names)}', hint=hint)
        if name in given:
            raise Refusal(400, "query", f'"{name}" is given twice')
        given[name] = value
    return given


def number_of(
    values: Mapping[str, str], name: str, default: int | None = None, *, least: int = 0, most: int = MOST_NUMBER
) -> int | None:
    """Return a whole number. Raises Refusal for what is none, or lies outside."""
    text = values.get(name)
    if text is None:
        return default
    if re.fullmatch(r"-?\d{1,15}", text, flags=re.ASCII) is None or not least <= int(text) <= most:
        raise Refusal(400, "query", f'"{name}" is a whole number from {least} to {most}')
    return int(text)


def word_of(values: Mapping[str, str], name: str, words: Collection[str]) -> str | None:
    """Return one of some words. Raises Refusal for any other."""
    text = values.get(name)
    if text is not None and text not in words:
        raise Refusal(400, "query", f'"{name}" is one of: {", ".join(words)}')
    return text
