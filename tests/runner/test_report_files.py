"""JUnit and coverage files of many tools, and hostile ones."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicdctl.model import Coverage
from cicdctl.runner.report_files import read_coverage, read_junit

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" errors="1" failures="1">
<testcase classname="tests.test_a" name="test_ok" time="0.5"/>
<testcase classname="tests.test_a" name="test_bad" time="1,000.25"><failure message="assert 1 == 2">def test_bad():
&gt;       assert 1 == 2
E       assert 1 == 2

tests/test_a.py:7: AssertionError</failure></testcase>
<testcase classname="" name="tests.test_b"><error message="collection failure">tests/test_b.py:1: in &lt;module&gt;</error></testcase>
<testcase name="later"><skipped message="no"/></testcase></testsuite></testsuites>"""


def test_counts_and_places_of_pytest():
    """Failures and errors count as failed; the place is the last one the traceback names."""
    report = read_junit([("r.xml", PYTEST)])
    assert (report.passed, report.failed, report.skipped) == (1, 2, 1)
    assert report.seconds == 1000.75
    first, second = report.failures
    assert (first.name, first.file, first.line) == ("tests.test_a.test_bad", "tests/test_a.py", 7)
    assert (second.name, second.file, second.line) == ("tests.test_b", "tests/test_b.py", 1)


def test_several_files_add_up():
    """Reports are sums over all files."""
    assert read_junit([("a", PYTEST), ("b", PYTEST)]).failed == 4


def test_coverage_of_cobertura_and_lcov():
    """Totals from attributes, from lines where there are none, and from lcov."""
    lines = b'<coverage><packages><line number="1" hits="2"/><line number="2" hits="0"/></packages></coverage>'
    assert read_coverage([("c.xml", b'<coverage lines-valid="10" lines-covered="7"/>')]) == Coverage(
        covered=7, valid=10
    )
    assert read_coverage([("c.xml", lines), ("l.info", b"TN:\nSF:a\nLF:4\nLH:3\n")]) == Coverage(covered=4, valid=6)
    assert read_coverage([]) is None


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"<html/>", "begins with"),
        (b"<testsuite>", "not well-formed"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]><testsuite>&a;</testsuite>', "entities"),
        (b"\xff\xfe\x00", "not well-formed"),
    ],
)
def test_what_is_no_report_is_named(data, text):
    """A file that is no report is refused with its name."""
    with pytest.raises(ValueError, match=text):
        read_junit([("r.xml", data)])


@given(
    st.binary(max_size=300)
    | st.text(max_size=200).map(lambda t: f"<testsuite>{t}</testsuite>".encode("utf-8", "replace"))
)
def test_any_bytes_give_a_report_or_a_value_error(data):
    """Foreign bytes never cause anything else."""
    for reader in (read_junit, read_coverage):
        with contextlib.suppress(ValueError):
            reader([("f", data)])
