"""How pages say things."""

from __future__ import annotations

import pytest

from cicdctl.model import RunState, Verdict
from cicdctl.server.pages.words import LOOKS, ago, first_line, plain, ref_name, span, stamp


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (1000.0, "now"),
        (999.0 - 40, "41 s ago"),
        (1000.0 - 200, "3 min ago"),
        (1000.0 - 7300, "2 h ago"),
        (1000.0 - 5 * 86400, "5 d ago"),
        (1090.0, "in 1 min"),
        (None, "-"),
    ],
)
def test_ages(at, words):
    assert ago(at, now=1000.0) == words


def test_span_keeps_its_largest_unit():
    assert [span(seconds) for seconds in (0.2, 59.9, 60, 3599, 3600, 86400)] == [
        "0 s",
        "59 s",
        "1 min",
        "59 min",
        "1 h",
        "1 d",
    ]


@pytest.mark.parametrize("at", [1e300, float("inf"), float("nan"), -1e300])
def test_moment_no_calendar_knows_is_no_error(at):
    assert stamp(at) == ""


def test_foreign_text_is_one_line_without_controls():
    """Direction and control characters show as escapes; a message is its first line."""
    assert plain("a\u202eb\x1b[31m\n") == "a\\u202eb\\x1b[31m\\n"
    assert first_line("\n\nfirst\nsecond") == "first"
    assert ref_name("refs/heads/feature/a;b$(id)") == "feature/a;b$(id)"
    assert plain("x" * 300).endswith("…")


def test_every_word_has_a_look_and_an_icon_of_its_own_shape():
    """Who sees no colours tells good from bad by the icon."""
    words = {*(verdict.value for verdict in Verdict), *(state.value for state in RunState)} - {"done"}
    assert words <= LOOKS.keys()
    icons: dict[str, str] = {}
    for name in words:
        look, icon = LOOKS[name]
        assert icons.setdefault(icon, look) == look
