"""The few tokens of TOML that carry structure, found in linear time; for limits and for places of keys."""

from __future__ import annotations

import re
from collections.abc import Iterator

# No possessive groups: Python 3.11.2 ends `(?:...)*+` too early. The alternatives exclude each other instead.
# A string that never ends is one token to the end of its line: what follows is invalid to every parser.
TOKEN = re.compile(
    r'''
    (?P<string>"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"{3,5}
      | \'\'\'[^']*(?:'(?!\'\')[^']*)*'{3,5}
      | "[^"\\\n]*(?:\\[^\n][^"\\\n]*)*(?:"|$)
      | '[^'\n]*+(?:'|$))
    | (?P<comment>\#[^\n]*)
    | (?P<mark>[\[\]{}=,.\n])
    | (?P<bare>[^\s\[\]{}=,.\#"']+)
    ''',
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


def tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield (kind, text, offset) of strings, bare words and the marks `[ ] { } = , .` and newline."""
    for match in TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind != "comment":
            yield kind, match.group(), match.start()
