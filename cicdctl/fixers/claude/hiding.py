"""Hides secrets in what a model is shown of files, also those that escapes or carriage returns tear apart."""

from __future__ import annotations

import re
from collections.abc import Callable

from cicdctl.fixing.normal_text import normal_lines

# Letters that a terminal may not show.
_TEARS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]|\r(?!\n)|[^\x00-\x7e]")


def hide_all(text: str, redact: Callable[[str], str]) -> str:
    """Return the text without secrets; `redact` takes out those that stand in it. Raises RedactionFailed.

    A recorded log in a repository is a file like others. Where a terminal would show a secret that the letters do not
    spell out, the text comes as a terminal would show it; every other text keeps its letters.
    """
    shown = redact(text)
    if not _TEARS.search(shown):
        return shown
    plain = "\n".join(normal_lines(shown, hides=lambda part: redact(part) != part))
    hidden = redact(plain)
    return shown if hidden == plain else hidden
