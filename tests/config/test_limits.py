"""Hostile documents end quickly and cleanly."""

from __future__ import annotations

import time

import pytest

from cicdctl.config import read_config
from cicdctl.errors import ConfigError

STAGES = "[pipelines.p.stages]\n"
# The eight documents of the security table, then more of their kind.
HOSTILE = {
    "a dotted key of 39 KB": ".".join(["a"] * 20_000) + " = 1",
    "a dotted header of 39 KB": "[" + ".".join(["a"] * 20_000) + "]",
    "a dotted key of 39 KB in an inline table": "x = { " + ".".join(["a"] * 20_000) + " = 1 }",
    "quoted dotted keys": " . ".join(['"a"'] * 20_000) + " = 1",
    "nested arrays": "a = " + "[" * 50_000 + "]" * 50_000,
    "nested inline tables": "a = " + "{a=" * 50_000 + "1" + "}" * 50_000,
    "an integer of 5,000 digits": "a = " + "9" * 5_000,
    "more than 256 KiB": "a = 1\n" * 60_000,
    "30,000 unknown keys": "".join(f"ke{number} = 1\n" for number in range(18_000)),
    "many headers near the limit of dots": "".join("[" + ".".join([f"k{n}"] + ["a"] * 63) + "]\n" for n in range(1_900)),
    "arrays of tables": "[[a]]\n" * 40_000,
    "arrays of tables below each other": "".join("[[" + ".".join(["a"] * depth) + "]]\n" for depth in range(1, 64)) * 50,
    "one long string": 'a = "' + "x" * 250_000 + '"',
    "one long escape": 'a = "' + "\\u0041" * 40_000 + '"',
    "a string that never ends": 'a = """' + '""\\' * 80_000,
    "quotes": "'" * 250_000,
    "double quotes": '"' * 250_000,
    "open brackets in strings": "a = '" + "[" * 250_000 + "'",
    "a huge hexadecimal": "a = 0x" + "f" * 250_000,
    "a huge timeout": STAGES + "a = { run = 'x', timeout = 0x" + "f" * 5_000 + " }",
    "a huge size": "[orchestrator]\nmin_free = '" + "9" * 400 + "TB'",
    "a huge float": STAGES + "a = { run = 'x', timeout = 1e999 }",
    "a name per stage that waits for one that is missing": STAGES + "".join(f"s{n} = {{ run = 'x', needs = ['t{n}'] }}\n" for n in range(5_000)),
    "a matrix of too many cells": STAGES + "a = { run = 'x', matrix = { " + ", ".join(f"a{n} = [1,2,3,4,5,6,7,8,9]" for n in range(200)) + " } }",
    "deep options": STAGES + "a.uses = 'x'\na.with = " + "{ a = " * 60 + "1" + " }" * 60,
    "long keys in an inline table, nested": "a = " + ("{ " + ".".join("a" * 60) + " = ") * 40 + "1" + " }" * 40,
    "whitespace": "a = [" + "\n " * 120_000 + "]",
    "comments": "#" * 250_000,
    "many dates": "".join(f"d{n} = 2026-01-01T00:00:00Z\n" for n in range(7_000)),
    "a chain of pipelines": "".join(f"[pipelines.p{n}]\ntrigger='after_p{n + 1}'\nstages.a='x'\n" for n in range(3_000)),
    "a circle of pipelines": "".join(f"[pipelines.p{n}]\ntrigger='after_p{(n + 1) % 3_000}'\nstages.a='x'\n" for n in range(3_000)),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_document_ends_within_two_seconds(name):
    """A value or a ConfigError, never another exception, and not later than that."""
    start = time.process_time()
    try:
        read_config(HOSTILE[name], source=".cicd.toml")
    except ConfigError as error:
        assert 0 < len(error.problems) <= 201
        assert all(problem.startswith(".cicd.toml:") and len(problem) < 6_000 for problem in error.problems)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"#" * (256 * 1024 + 1), "1:1: is larger than 256 KiB"),
        (b"\xef\xbb\xbfa = 1", "1:1: begins with a byte order mark; save it as UTF-8 without BOM"),
        ("a = 1".encode("utf-16"), "1:1: is UTF-16; save it as UTF-8"),
        (b"a = 1\nb = 'x\xff'", "2:7: is not UTF-8 (byte 0xff)"),
        ("é = 1\nb = 'é".encode() + b"\xe9'", "2:7: is not UTF-8 (byte 0xe9)"),
        (b"a = 1\rb = 2", "1:6: a carriage return alone; save it with \\n line ends"),
        (b"a = " + b"[" * 65 + b"]" * 65, "1:69: nested deeper than 64 levels"),
        (b"x = 1\n" + b"a." * 65 + b"a = 1", "2:130: a key with more than 64 dots"),
    ],
)
def test_limit_with_place(problems, data, expected):
    """Each limit says where it was crossed."""
    assert problems(data) == [f".cicd.toml:{expected}"]


def test_up_to_the_limits(read):
    """64 levels and 64 dots are still read; dots in values and comments do not count."""
    deep = "a.uses = 'x'\na.with.o = " + "[" * 58 + "]" * 58
    assert read(STAGES + deep).pipelines[0].stages[0].options
    assert read(STAGES + "a = '" + "." * 500 + "' # " + "." * 500).pipelines[0].stages[0].run == ("." * 500,)
    assert read(STAGES + 'a = """\n' + "." * 500 + '\n"""').pipelines[0].stages[0].run == ("." * 500 + "\n",)


def test_windows_line_ends(read, problems):
    """CRLF is read; lines and columns stay the same."""
    assert read("[pipelines.p.stages]\r\na = 'x'\r\n").pipelines[0].stages[0].run == ("x",)
    assert problems("[project]\r\nname = 'x'\r\nnam = 'x'\r\n") == [
        '.cicd.toml:3:1: project.nam: unknown key, did you mean "name"?'
    ]


def test_only_so_many_problems_are_shown(problems):
    """The rest is counted."""
    found = problems("".join(f"k{number} = 1\n" for number in range(300)))
    assert len(found) == 201 and found[-1] == ".cicd.toml: and 100 more problems"
