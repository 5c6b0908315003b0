"""What a stage hands to others by `CICD_OUTPUT`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicdctl.process import parse_outputs


def test_lines_become_names_and_values() -> None:
    content = b"VERSION=1.2\n\nURL=http://x/?a=b\r\nEMPTY=\nVERSION=1.3\n_x9=\xc3\xa4"
    assert parse_outputs(content) == {"VERSION": "1.3", "URL": "http://x/?a=b", "EMPTY": "", "_x9": "ä"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"no equals", "no '=', expected KEY=VALUE"),
        (b"9A=1", "'9A' is not a name of letters, digits and '_'"),
        (b" A=1", "' A' is not a name"),
        (b"=1", "'' is not a name"),
        (b"A-B=1", "'A-B' is not a name"),
        (b"A=\xff", "not UTF-8"),
        (b"A=\0", "a NUL character"),
        (b"LD_PRELOAD=x", "'LD_PRELOAD' may not be set for other stages"),
        (b"PATH=x", "'PATH' may not be set for other stages"),
    ],
)
def test_bad_line_is_named_by_its_number(line: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match="CICD_OUTPUT line 3: ") as caught:
        parse_outputs(b"GOOD=1\n\n" + line + b"\nALSO=2\n")
    assert problem in str(caught.value)


def test_size_is_capped() -> None:
    assert len(parse_outputs(b"A=" + b"x" * (64 * 1024 - 2))["A"]) == 64 * 1024 - 2
    with pytest.raises(ValueError, match="65537 bytes"):
        parse_outputs(b"A=" + b"x" * (64 * 1024 - 1))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        found = parse_outputs(content)
    except ValueError as error:
        assert str(error).startswith("CICD_OUTPUT line ")
    else:
        assert all("\n" not in value and "\0" not in value for value in found.values())
