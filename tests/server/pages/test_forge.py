"""Links to the forge follow from the address of `origin`, and are none where they would be a guess."""

from __future__ import annotations

import pytest

from cicdctl.model import Attempt, StageResult, Verdict
from cicdctl.server.pages.failure_cards import ended_words
from cicdctl.server.pages.forge import forge_of


@pytest.mark.parametrize(
    ("url", "commit", "line"),
    [
        ("git@github.com:a/b.git", "https://github.com/a/b/commit/c1", "https://github.com/a/b/blob/c1/x%20y.py#L3"),
        ("https://user:secret@gitlab.example/g/s/b", "https://gitlab.example/g/s/b/-/commit/c1", "https://gitlab.example/g/s/b/-/blob/c1/x%20y.py#L3"),
        ("ssh://git@codeberg.org:2222/a/b.git", "https://codeberg.org/a/b/commit/c1", "https://codeberg.org/a/b/src/commit/c1/x%20y.py#L3"),
        ("https://git.example/a/b", "https://git.example/a/b/commit/c1", ""),
        ("/srv/git/b.git", "", ""),
        ("../b", "", ""),
        ("javascript://x/a/b", "", ""),
        ("https://evil.example\"onclick=x/a/b", "", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_addresses_of_a_forge(url, commit, line):
    forge = forge_of({"remote.origin.url": [url]} if url else {})
    assert (forge.commit("c1"), forge.line("c1", "x y.py", 3)) == (commit, line)
    assert "secret" not in forge.base


def test_refs_and_lines_outside_of_the_repository():
    forge = forge_of({"remote.origin.url": ["https://github.com/a/b"]})
    assert forge.ref("refs/heads/f/<x>") == "https://github.com/a/b/tree/f/%3Cx%3E"
    assert forge.ref("refs/tags/v1") == "https://github.com/a/b/releases/tag/v1"
    assert forge.ref(None) == forge.ref("refs/notes/x") == ""
    assert [forge.line("c", path, 1) for path in ("/etc/passwd", "../x", "a/../../x", None, "")] == [""] * 5
    assert forge.line("c", "a.py", None) == ""


@pytest.mark.parametrize(
    ("exit_code", "reason", "words"),
    [
        (1, None, ["exit 1"]),
        (137, None, ["exit 137", "signal 9 (SIGKILL)"]),
        (None, "ended by signal 11", ["signal 11 (SIGSEGV)"]),
        (200, None, ["exit 200"]),
        (None, "took longer than 5s", []),
    ],
)
def test_how_a_stage_ended(exit_code, reason, words):
    attempt = Attempt(number=1, verdict=Verdict.FAILED, exit_code=exit_code, seconds=1.0, reason=reason)
    result = StageResult(stage="unit", verdict=Verdict.FAILED, exit_code=exit_code, seconds=1.0, attempts=(attempt,))
    assert ended_words(result) == words
