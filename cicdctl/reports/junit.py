"""The JUnit export: a run as other tools read it, a test case per stage and per failed test inside it."""

from __future__ import annotations

from pathlib import Path

from cicdctl.errors import UsageError
from cicdctl.model import RunSummary, StageResult, Verdict
from cicdctl.plugin_api import hookimpl
from cicdctl.reports.lines import ALLOWED
from cicdctl.reports.text import clean_line


class JunitReport:
    """Writes `path` when the run has ended, replacing what was there; its folder is made when need be.

    Raises UsageError at once when that will not be possible.
    """

    def __init__(self, path: Path) -> None:
        # A pipe or device is written to; what is a file, or not there yet, is replaced as a whole.
        is_special = path.exists() and not path.is_file()
        self._path = path = path if is_special else path.resolve()
        self._aside = path if is_special else path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._aside.open("wb")
        except OSError as error:
            raise UsageError(f'--junit: cannot write "{path}": {error.strerror}') from error

    @hookimpl
    def cicdctl_run_finished(self, summary: RunSummary) -> None:
        with self._file:
            self._file.write(junit_xml(summary))
        if self._aside != self._path:
            self._aside.replace(self._path)

    def close(self) -> None:
        """Leave nothing half done behind when the run has not ended."""
        if not self._file.closed:
            self._file.close()
            if self._aside != self._path:
                self._aside.unlink(missing_ok=True)


def junit_xml(summary: RunSummary) -> bytes:
    """Return the run as JUnit XML in UTF-8."""
    from xml.etree import ElementTree

    tags = [_tag(result) for result in summary.stages]
    suite = ElementTree.Element(
        "testsuite",
        name=f"cicdctl {summary.run.pipeline}",
        tests=str(len(tags)),
        failures=str(tags.count("failure")),
        errors=str(tags.count("error")),
        skipped=str(tags.count("skipped")),
        time=f"{summary.run.seconds:.3f}",
    )
    for result, tag in zip(summary.stages, tags, strict=True):
        case = ElementTree.SubElement(
            suite, "testcase", classname=summary.run.pipeline, name=result.stage, time=f"{result.seconds:.3f}"
        )
        if tag is not None:
            ElementTree.SubElement(case, tag, message=_message(result)).text = _text(result)
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


def _tag(result: StageResult) -> str | None:
    # Readers of JUnit know no allowed failure, and a <failure> would make them red.
    return "skipped" if result.allowed_failure else _TAGS.get(result.verdict)


def _message(result: StageResult) -> str:
    reason = clean_line(result.reason or result.verdict.value)
    return f"{ALLOWED}: {reason}" if result.allowed_failure else reason


def _text(result: StageResult) -> str:
    if result.tests is None:
        return ""
    return "\n".join(
        clean_line(f"{failure.file or ''}:{failure.line or ''} {failure.name}: {failure.message}")
        for failure in result.tests.failures
    )
