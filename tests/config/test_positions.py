"""Where keys stand, in every way TOML lets people write them."""

from __future__ import annotations

import tomllib

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from cicdctl.config.positions import find_positions

CASES = {
    "tables": ("[a]\n  b = 1\n[a.c]\nd = 2", {("a",): (1, 2), ("a", "b"): (2, 3), ("a", "c"): (3, 4), ("a", "c", "d"): (4, 1)}),
    "dotted keys": ("a.b . c = 1\na.d = 2", {("a",): (1, 1), ("a", "b"): (1, 3), ("a", "b", "c"): (1, 7), ("a", "d"): (2, 3)}),
    "quoted keys": ("\"a.b\".'c' = 1\n[\"d\\u0041\"]", {("a.b",): (1, 1), ("a.b", "c"): (1, 7), ("dA",): (2, 2)}),
    "inline tables": ("a = { b = 1, c.d = [2, { e = 3 }] }", {("a",): (1, 1), ("a", "b"): (1, 7), ("a", "c"): (1, 14), ("a", "c", "d"): (1, 16), ("a", "c", "d", 0): (1, 21), ("a", "c", "d", 1): (1, 24), ("a", "c", "d", 1, "e"): (1, 26)}),
    "arrays over lines": ("a = [\n  1, # [one, two]\n  'x]',\n  [2],\n]\nb = 1", {("a",): (1, 1), ("a", 0): (2, 3), ("a", 1): (3, 3), ("a", 2): (4, 3), ("a", 2, 0): (4, 4), ("b",): (6, 1)}),
    "arrays of tables": ("[[a]]\nb = 1\n[[a]]\n[a.c]\nd = 1\n[[a.e]]\nf = 2", {("a",): (1, 3), ("a", 0): (1, 3), ("a", 0, "b"): (2, 1), ("a", 1): (3, 3), ("a", 1, "c"): (4, 4), ("a", 1, "c", "d"): (5, 1), ("a", 1, "e"): (6, 5), ("a", 1, "e", 0): (6, 5), ("a", 1, "e", 0, "f"): (7, 1)}),
    "a table named after those below it": ("[a.b]\nc = 1\n[a]\nd = 1", {("a",): (3, 2), ("a", "b"): (1, 4), ("a", "b", "c"): (2, 1), ("a", "d"): (4, 1)}),
    "strings over lines": ("a = '''\n[x]\ny = 1\n'''\nb = \"\"\"\\\n  z = \\\"\\\"\\\" 1\"\"\"\nc = 1", {("a",): (1, 1), ("b",): (5, 1), ("c",): (7, 1)}),
    "strings with five quotes": ('a = """x"""""\nb = 1', {("a",): (1, 1), ("b",): (2, 1)}),
    "comments": ("# [x]\na = 1 # b = 2\n\n  # c\n[d] # [e]\n", {("a",): (2, 1), ("d",): (5, 2)}),
    "wide characters": ("a = { 'ü€😀' = 1, b = 2 }", {("a",): (1, 1), ("a", "ü€😀"): (1, 7), ("a", "b"): (1, 18)}),
    "floats and dates": ("a = 1.5\nb = 1979-05-27 07:32:00.5\nc = [1.5, -2e3]", {("a",): (1, 1), ("b",): (2, 1), ("c",): (3, 1), ("c", 0): (3, 6), ("c", 1): (3, 11)}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_positions(name):
    """Exact lines and columns, and nothing else is found."""
    text, expected = CASES[name]
    tomllib.loads(text)
    assert find_positions(text) == expected


def paths(raw, at=()):
    """Every path of keys and indexes of a document."""
    below = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    for part, value in below:
        yield (*at, part)
        yield from paths(value, (*at, part))


keys = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=6)
values = st.recursive(
    st.integers(-5, 5) | st.booleans() | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(keys, values, max_size=4), st.booleans())
def test_every_key_is_found(document, multiline):
    """Whatever tomli-w writes, each key has a place, and the text there begins with that key or element."""
    text = tomli_w.dumps(document, multiline_strings=multiline).replace("\r", "")
    found = find_positions(text)
    assert set(found) == set(paths(tomllib.loads(text)))
    lines = text.split("\n")
    for path, (line, column) in found.items():
        rest = lines[line - 1][column - 1 :]
        if isinstance(path[-1], str):
            key = rest.split('"')[1] if rest.startswith('"') else rest
            assert key.startswith(path[-1][:1]) or "\\" in rest
        else:
            assert rest
