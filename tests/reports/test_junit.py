"""The JUnit export as a reader of such files sees it."""

from __future__ import annotations

import os
from xml.etree import ElementTree

import pytest

from cicdctl.errors import UsageError
from cicdctl.model import RunSummary, StageResult, Verdict
from cicdctl.reports.junit import JunitReport, junit_xml
from tests.reports.test_lines import a_run


def test_counts_are_those_of_the_cases():
    """Whatever the verdicts, each number of the suite is the number of such elements in it."""
    stages = [StageResult(stage=verdict.value, verdict=verdict, reason="why") for verdict in Verdict]
    stages.append(StageResult(stage="allowed", verdict=Verdict.FAILED, allowed_failure=True, reason="exit status 9"))
    suite = ElementTree.fromstring(junit_xml(RunSummary(run=a_run(), stages=tuple(stages)))).find("testsuite")
    for attribute, element in (
        ("tests", "testcase"),
        ("failures", "failure"),
        ("errors", "error"),
        ("skipped", "skipped"),
    ):
        assert int(suite.get(attribute)) == len(list(suite.iter(element))), attribute
    allowed = suite.find("testcase[@name='allowed']")
    assert [(child.tag, child.get("message")) for child in allowed] == [("skipped", "allowed to fail: exit status 9")]


def test_nothing_half_done_is_left(tmp_path):
    """A run that came to no end leaves the file of the run before."""
    path = tmp_path / "deep/report.xml"
    report = JunitReport(path)
    report.cicdctl_run_finished(RunSummary(run=a_run()))
    report.close()
    before = path.read_bytes()
    JunitReport(path).close()
    assert path.read_bytes() == before and [entry.name for entry in path.parent.iterdir()] == ["report.xml"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.xml").touch()
    (tmp_path / "link.xml").symlink_to("real.xml")
    JunitReport(tmp_path / "link.xml").cicdctl_run_finished(RunSummary(run=a_run()))
    assert (tmp_path / "link.xml").is_symlink() and b"testsuite" in (tmp_path / "real.xml").read_bytes()


def test_a_pipe_is_written_to(tmp_path):
    """`--junit >(program)` and devices: nothing is put in their place."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    JunitReport(path).cicdctl_run_finished(RunSummary(run=a_run()))
    assert os.read(reader, 65536).startswith(b"<?xml") and path.is_fifo()
    os.close(reader)


def test_what_cannot_be_written_is_told_at_once(tmp_path):
    with pytest.raises(UsageError, match="--junit: cannot write"):
        JunitReport(tmp_path)
