"""JUnit and coverage files of many tools, and hostile ones."""

from __future__ import annotations

import contextlib
import tracemalloc
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicdctl.model import Coverage
from cicdctl.runner import coverage_report, junit_report
from cicdctl.runner.foreign_xml import MAX_BYTES

PYTEST = b"""<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" errors="1" failures="1">
<testcase classname="tests.test_a" name="test_ok" time="0.5"/>
<testcase classname="tests.test_a" name="test_bad" time="1,000.25"><failure message="assert 1 == 2">def test_bad():
&gt;       assert 1 == 2
E       assert 1 == 2

tests/test_a.py:7: AssertionError</failure></testcase>
<testcase classname="" name="tests.test_b"><error message="collection failure">tests/test_b.py:1: in &lt;module&gt;</error></testcase>
<testcase name="later"><skipped message="no"/></testcase></testsuite></testsuites>"""


def read_junit(files, **options):
    return junit_report.read_junit(((name, BytesIO(data)) for name, data in files), **options)


def read_coverage(files):
    return coverage_report.read_coverage((name, BytesIO(data)) for name, data in files)


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
        (
            '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE x [<!ENTITY a "a">]><testsuite/>'.encode("utf-16"),
            "entities",
        ),
        (b'<!DOCTYPE x [<!ATTLIST a b CDATA "bbbb">]><testsuite/>', "attributes"),
        (b"<testsuite>" * 1001, "deeper than 1000"),
        (b"\xff\xfe\x00", "not well-formed"),
    ],
)
def test_what_is_no_report_is_named(data, text):
    """A file that is no report is refused with its name."""
    with pytest.raises(ValueError, match=text):
        read_junit([("r.xml", data)])


class Endless(BytesIO):
    """A file of so many pieces, each as long as was asked for, after a beginning."""

    def __init__(self, start: bytes, piece: bytes, pieces: int) -> None:
        super().__init__(start)
        self._piece, self._left = piece, pieces

    def read(self, size: int = -1) -> bytes:
        start = super().read(size)
        if not start and self._left:
            self._left -= 1
            return (self._piece * (size // len(self._piece) + 1))[:size]
        return start


@pytest.mark.parametrize(
    ("start", "piece", "text"),
    [
        (b"<testsuite><a ", b"x", "a tag or comment of more than"),
        (b"<testsuite><!-- ", b"x", "a tag or comment of more than"),
        (b"<testsuite>", b"<a/>", "elements"),
        (b"<testsuite><testcase><failure>", b"text ", "larger than 64 MB"),
    ],
    ids=["tag", "comment", "elements", "text"],
)
def test_bombs_are_refused_in_little_memory(start, piece, text):
    """However a report swells, it is refused, and never held as a whole."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=text):
            junit_report.read_junit([("r.xml", Endless(start, piece, MAX_BYTES))])
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_long_texts_are_cut():
    """What a report says of a failure takes little room in the record."""
    data = b'<testsuite><testcase name="%b" file="%b"><failure>%b</failure></testcase></testsuite>' % (
        (b"n" * 9999,) * 3
    )
    (failure,) = read_junit([("r.xml", data)]).failures
    assert len(failure.name) <= 300 and len(failure.message) <= 500 and len(failure.file) <= 1000


def test_a_count_of_lcov_between_two_pieces():
    """A line is read whole wherever the pieces of the file end."""
    for size in range(20):
        filler = b"SF:" + b"x" * ((1 << 18) - 15 - size) + b"\n"
        assert len(filler) < 1 << 18
        assert read_coverage([("l", filler + b"LF:12345\nLH:1234\nend_of_record\n")]) == Coverage(
            covered=1234, valid=12345
        )


@given(
    st.binary(max_size=300)
    | st.text(max_size=200).map(lambda t: f"<testsuite>{t}</testsuite>".encode("utf-8", "replace"))
)
def test_any_bytes_give_a_report_or_a_value_error(data):
    """Foreign bytes never cause anything else."""
    for reader in (read_junit, read_coverage):
        with contextlib.suppress(ValueError):
            reader([("f", data)])


def test_ids_of_the_cases_by_file():
    """Each file's cases by how they ended, masked; too many of them are none."""
    suites: dict[str, dict[str, set[str]]] = {}
    read_junit([("r.xml", PYTEST), ("s.xml", PYTEST)], suites=suites, mask=lambda text: text.replace("bad", "***"))
    assert suites["s.xml"] == {
        "passed": {"tests.test_a.test_ok"},
        "failed": {"tests.test_a.test_***", "tests.test_b"},
        "skipped": {"later"},
    }
    assert suites["r.xml"] == suites["s.xml"]


def test_too_many_ids_are_not_kept():
    """The counts stay right; an incomplete list of ids would show tests as lost."""
    many = b"<testsuite>" + b"".join(b'<testcase name="t%d"/>' % n for n in range(junit_report.MAX_IDS + 1)) + b"</testsuite>"
    suites: dict[str, dict[str, set[str]]] = {}
    assert read_junit([("r.xml", many)], suites=suites).passed == junit_report.MAX_IDS + 1
    assert suites == {}
