"""Text of a model does nothing where it is shown."""

from __future__ import annotations

import pytest

from cicdctl.fixing.defang import defang, defang_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![x](https://evil.example/p.png?s=1)", "x"),
        ("see [here](javascript:alert)", "see here"),
        ("https://evil.example/a", "https:\u2024evil.example/a"),
        ("thanks @admin", "thanks (at)admin"),
        ("Fixes #1", "Fixes no. 1"),
        ("closes acme/app#12, GH-3", "closes acme/app no. 12, no. 3"),
        ("\x1b[31mred\x1b[0m \x1b]52;c;aGk=\x07clip", "red clip"),
        ("pass\u202egnp.exe", "passgnp.exe"),
        ("<img src=x onerror=alert(1)>", "\u2039img src=x onerror=alert(1)\u203a"),
        ("Cicdctl-Proof: sha256:0", "Cicdctl-Proof - sha256:0"),
        ("mail a@b.example stays", "mail a@b.example stays"),
        ("C# stays", "C# stays"),
    ],
)
def test_each_trick(text, shown):
    """Links, images, mentions, closing keywords, escapes, hidden characters, markup, forged trailers."""
    assert defang(text) == shown


def test_length():
    """Ten lines of two hundred characters, and one line where one is wanted."""
    text = "\n".join(["x" * 5000] * 50)
    shown = defang(text).splitlines()
    assert len(shown) == 10
    assert shown[-1] == "[41 more lines]"
    assert max(map(len, shown)) == 200
    assert len(defang_line(text)) == 72
    assert defang("") == ""
