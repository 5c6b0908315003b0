"""The JUnit export: a run as other tools read it, a test case per stage and per failed test inside it."""

from __future__ import annotations

from pathlib import Path

from cicdctl.model import RunSummary, StageResult, Verdict
from cicdctl.plugin_api import hookimpl
from cicdctl.reports.text import clean_line


class JunitReport:
    """Writes `path` when the run has ended, replacing what was there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @hookimpl
    def cicdctl_run_finished(self, summary: RunSummary) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        aside = self._path.with_name(self._path.name + ".part")
        aside.write_bytes(junit_xml(summary))
        aside.replace(self._path)


def junit_xml(summary: RunSummary) -> bytes:
    """Return the run as JUnit XML in UTF-8."""
    from xml.etree import ElementTree

    broken = (Verdict.FAILED, Verdict.TIMED_OUT)
    suite = ElementTree.Element(
        "testsuite",
        name=f"cicdctl {summary.run.pipeline}",
        tests=str(len(summary.stages)),
        failures=str(sum(result.verdict in broken for result in summary.stages)),
        errors=str(sum(result.verdict is Verdict.ERROR for result in summary.stages)),
        skipped=str(sum(result.verdict is Verdict.SKIPPED for result in summary.stages)),
        time=f"{summary.run.seconds:.3f}",
    )
    for result in summary.stages:
        name = f"{summary.run.pipeline}"
        case = ElementTree.SubElement(
            suite, "testcase", classname=name, name=result.stage, time=f"{result.seconds:.3f}"
        )
        tag = _TAGS.get(result.verdict)
        if tag is not None:
            ElementTree.SubElement(case, tag, message=clean_line(result.reason or result.verdict.value)).text = _text(
                result
            )
    root = ElementTree.Element("testsuites")
    root.append(suite)
    data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return data


_TAGS = {
    Verdict.FAILED: "failure",
    Verdict.TIMED_OUT: "failure",
    Verdict.ERROR: "error",
    Verdict.INTERRUPTED: "error",
    Verdict.CANCELLED: "skipped",
    Verdict.SKIPPED: "skipped",
}


def _text(result: StageResult) -> str:
    if result.tests is None:
        return ""
    return "\n".join(
        clean_line(f"{failure.file or ''}:{failure.line or ''} {failure.name}: {failure.message}")
        for failure in result.tests.failures
    )
