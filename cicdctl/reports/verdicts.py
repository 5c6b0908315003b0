"""Shows what is known of commits: runs of this repository, and verdicts that came with its notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from cicdctl.errors import GitError
from cicdctl.git import Commit
from cicdctl.git.notes import note_refs, read_note
from cicdctl.model import RunFilter, Value, Verdict
from cicdctl.project import Project
from cicdctl.reports import lines
from cicdctl.reports.output import print_document, print_lines
from cicdctl.reports.text import quoted

NOTES_NAME = "cicdctl"
MAX_COMMITS = 1000
_MAX_LINE_BYTES = 64 << 10


class Known(Value, frozen=True, kw_only=True):
    """How a pipeline went on a commit. `source` is the ref of the notes that say so, None for our own record."""

    pipeline: str
    verdict: str
    run: int | None = None
    at: float = 0.0
    source: str | None = None


class _Line(msgspec.Struct):
    """What a line of a note has to hold; somebody else may have written it."""

    pipeline: str
    verdict: Verdict
    timestamp: str
    run: int | None = None


def print_verdicts(project: Project, revisions: str, *, json: bool) -> int:
    """Print a line per commit of a range `a..b`, or of one revision. Returns exit status 0.

    Raises GitError for an unknown revision, and for a range of more than a thousand commits.
    """
    repository = project.repository
    if ".." in revisions:
        commits = repository.commits_between(revisions)
        if len(commits) > MAX_COMMITS:
            raise GitError(f'"{revisions}" holds {len(commits)} commits', hint=f"at most {MAX_COMMITS} are shown")
    else:
        commits = (repository.resolve(revisions),)
    refs = note_refs(repository, NOTES_NAME)
    found = {
        commit.oid: _newest([*_own(project, commit.oid), *_noted(project, refs, commit.oid)]) for commit in commits
    }
    if json:
        shown = [
            {"commit": commit.oid, "verdicts": [msgspec.structs.asdict(known) for known in found[commit.oid]]}
            for commit in commits
        ]
        print_document("verdicts", {"commits": shown})
    else:
        print_lines(_lines(commits, found))
    return 0


def _lines(commits: Sequence[Commit], found: Mapping[str, Sequence[Known]]) -> Iterator[str]:
    if not commits:
        yield "the range holds no commit"
    for commit in commits:
        subject = quoted(commit.message.split("\n", 1)[0], limit=60)
        words = [_words(known) for known in found[commit.oid]]
        yield f"{commit.oid[:10]}  {'  '.join(words) or '-'}  {subject}"


def _words(known: Known) -> str:
    where = f" #{known.run}" if known.source is None else f" ({quoted(known.source.removeprefix('refs/notes/'))})"
    return f"{lines.MARKS[known.verdict]} {quoted(known.pipeline, limit=60)} {known.verdict}{where}"


def _own(project: Project, commit: str) -> Iterator[Known]:
    for run in project.state.runs(RunFilter(commit=commit, active=False, limit=100)):
        if run.verdict is not None and not run.is_partial:
            at = run.finished_at or run.created_at
            yield Known(pipeline=run.pipeline, verdict=run.verdict.value, run=run.number, at=at)


def _noted(project: Project, refs: Sequence[str], commit: str) -> Iterator[Known]:
    for ref in refs:
        try:
            text = read_note(project.repository, ref, commit)
        except GitError as error:
            project.warn(f'"{quoted(ref)}" cannot be read: {error.message}')
            continue
        for line in (text or b"").split(b"\n"):
            if not line.startswith(b"{") or len(line) > _MAX_LINE_BYTES:
                continue
            try:
                said = msgspec.json.decode(line, type=_Line)
                at = float(said.timestamp)
            except (msgspec.DecodeError, ValueError):
                continue  # another program's line, or no line of ours
            yield Known(pipeline=said.pipeline, verdict=said.verdict.value, run=said.run, at=at, source=ref)


def _newest(known: Sequence[Known]) -> list[Known]:
    """The newest verdict of each pipeline; our own record goes before notes that say the same of the same run."""
    newest: dict[str, Known] = {}
    for one in known:
        other = newest.get(one.pipeline)
        if other is None or (other.source is not None and one.at > other.at):
            newest[one.pipeline] = one
    return [newest[name] for name in sorted(newest)]
