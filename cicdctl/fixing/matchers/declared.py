"""Reports that tools write as JSON, in a log or a file: ruff, eslint, SARIF, go test, jest, cargo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from cicdctl.fixing.matchers import go
from cicdctl.fixing.matchers.counts import TestCounts
from cicdctl.fixing.matchers.drafts import Draft, Lines

MOST_CHARS = 8 << 20
MOST_LINES = 200_000  # of one document
_GO_ACTIONS = {"pass": "passed", "fail": "failed", "skip": "skipped"}


def find(lines: Lines, counts: TestCounts) -> Iterator[Draft]:
    """Yield what the documents in a log say: a line of its own each, or from a bare `[` or `{` to its end."""
    events: list[tuple[int, Mapping[str, Any]]] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if line[:1] not in ("{", "["):
            at += 1
            continue
        document, end = _decode(line), at + 1
        if document is None and line in ("{", "["):
            document, end = _decode_lines(lines, at)
        if isinstance(document, dict) and "Action" in document and "Package" in document:
            events.append((at + 1, document))
        elif document is not None:
            yield from _lying(of_document(document, counts), at + 1, end)
        at = end
    if events:
        yield from _lying(_go([event for _, event in events], counts), events[0][0], events[-1][0])


def of_document(document: Any, counts: TestCounts) -> Iterator[Draft]:
    """Yield what one document says; nothing when it is of a kind we do not know."""
    return _lying(_of_document(document, counts), 0, 0)


def _lying(drafts: Iterable[Draft], start: int, end: int) -> Iterator[Draft]:
    """Say which lines the document takes; no line of them is worth reading."""
    for draft in drafts:
        draft.start, draft.end, draft.is_readable = start, end, False
        yield draft


def _of_document(document: Any, counts: TestCounts) -> Iterator[Draft]:
    if isinstance(document, list):
        for entry in document:
            if not isinstance(entry, dict):
                continue
            if "filePath" in entry and "messages" in entry:
                yield from _eslint(entry)
            elif "filename" in entry and "message" in entry:
                yield _ruff(entry)
    elif isinstance(document, dict):
        if "filename" in document and "location" in document:
            yield _ruff(document)
        elif isinstance(document.get("runs"), list):
            yield from _sarif(document)
        elif isinstance(document.get("testResults"), list):
            yield from _jest(document, counts)
        elif document.get("reason") == "compiler-message":
            yield from _cargo(document)


def decode_report(data: bytes) -> Any:
    """Return a file's document; None when it is none, or too large."""
    return _decode(data.decode("utf-8", "replace"))


def _decode(text: str) -> Any:
    if len(text) > MOST_CHARS:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _decode_lines(lines: Lines, start: int) -> tuple[Any, int]:
    closing = {"{": "}", "[": "]"}[lines[start]]
    for end in range(start + 1, min(len(lines), start + MOST_LINES)):
        if lines[end] == closing:
            return _decode("\n".join(lines[start : end + 1])), end + 1
        if lines[end] in ("{", "["):
            break
    return None, start + 1


def _get(value: Any, *path: str | int) -> Any:
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 < value < 10**9 else None


def _ruff(entry: Mapping[str, Any]) -> Draft:
    code = str(entry.get("code") or "") or None
    draft = Draft("ruff", "format" if code == "unformatted" else "lint", str(entry.get("message", "")), 0, code=code)
    draft.place(
        str(entry["filename"]), _number(_get(entry, "location", "row")), _number(_get(entry, "location", "column"))
    )
    return draft


def _eslint(entry: Mapping[str, Any]) -> Iterator[Draft]:
    for message in entry["messages"] if isinstance(entry["messages"], list) else ():
        if isinstance(message, dict) and message.get("severity") == 2:
            yield Draft(
                "eslint", "lint", str(message.get("message", "")), 0, code=message.get("ruleId") or None,
                file=str(entry["filePath"]), line=_number(message.get("line")), column=_number(message.get("column")),
            )  # fmt: skip


def _sarif(document: Mapping[str, Any]) -> Iterator[Draft]:
    for run in document["runs"]:
        tool = str(_get(run, "tool", "driver", "name") or "sarif").lower()
        results = _get(run, "results")
        for result in results if isinstance(results, list) else ():
            if _get(result, "level") in ("note", "none"):
                continue
            place = _get(result, "locations", 0, "physicalLocation")
            uri = _get(place, "artifactLocation", "uri")
            draft = Draft(tool, "lint", str(_get(result, "message", "text") or ""), 0, code=_get(result, "ruleId"))
            if isinstance(uri, str):
                region = _get(place, "region")
                draft.place(uri, _number(_get(region, "startLine")), _number(_get(region, "startColumn")))
            yield draft


def _jest(document: Mapping[str, Any], counts: TestCounts) -> Iterator[Draft]:
    counts.add(
        passed=_number(document.get("numPassedTests")) or 0,
        failed=_number(document.get("numFailedTests")) or 0,
        skipped=_number(document.get("numPendingTests")) or 0,
    )
    for suite in document["testResults"]:
        file = str(_get(suite, "name") or _get(suite, "testFilePath") or "")
        tests = _get(suite, "assertionResults")
        failed = [one for one in tests if _get(one, "status") == "failed"] if isinstance(tests, list) else []
        for test in failed:
            titles = [*(_get(test, "ancestorTitles") or []), _get(test, "title")]
            said = str(_get(test, "failureMessages", 0) or "").split("\n")
            draft = Draft("jest", "test", said[0], 0, test_id=" › ".join(str(part) for part in [file, *titles]))
            draft.place(file, _number(_get(test, "location", "line")))
            yield draft
        if not failed and _get(suite, "status") == "failed":
            said = [line for line in str(_get(suite, "message") or "").split("\n") if line.strip(" ●")]
            text = next((line.strip() for line in said if "Test suite failed to run" not in line), "")
            yield Draft("jest", "compile", text, 0, file=file, test_id=file)


def _cargo(document: Mapping[str, Any]) -> Iterator[Draft]:
    message = document.get("message")
    if _get(message, "level") != "error" or not _get(message, "spans"):
        return
    spans = [one for one in message["spans"] if _get(one, "is_primary")] if isinstance(message, dict) else []
    code = _get(message, "code", "code")
    is_lint = isinstance(code, str) and code.startswith("clippy::")
    draft = Draft("clippy" if is_lint else "cargo", "lint" if is_lint else "compile", str(_get(message, "message")), 0)
    draft.code = code if isinstance(code, str) else None
    if spans:
        draft.place(
            str(_get(spans[0], "file_name")),
            _number(_get(spans[0], "line_start")),
            _number(_get(spans[0], "column_start")),
        )
    yield draft


def _go(events: Sequence[Mapping[str, Any]], counts: TestCounts) -> Iterator[Draft]:
    """`go test -json` carries the text that it prints otherwise, package by package."""
    texts: dict[str, list[str]] = {}
    for event in events:
        action, output = event.get("Action"), event.get("Output")
        if action == "output" and isinstance(output, str):
            texts.setdefault(str(event["Package"]), []).append(output)
        elif action in _GO_ACTIONS and "Test" in event:
            counts.add(**{_GO_ACTIONS[action]: 1})
    for package in texts.values():
        yield from go.find("".join(package).replace("\t", "    ").split("\n"))
