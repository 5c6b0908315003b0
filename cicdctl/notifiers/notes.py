"""`uses = "git-notes"`: a line of JSON per run beside its commit, so that verdicts travel with the repository.

The line holds what git-appraise's lines hold (timestamp, agent, status, v), and more.
"""

from __future__ import annotations

import json
from typing import Any

from cicdctl.errors import ConfigError, GitError, NotSent
from cicdctl.git import Repository
from cicdctl.git.notes import PREFIX, append_note, read_note
from cicdctl.git.refs import check_ref_name
from cicdctl.kinds import Notice, NotifierKind
from cicdctl.model import Value
from cicdctl.notifiers.events import TEST_EVENT

NAME = "cicdctl"
_STATUS = {"passed": "success", "failed": "failure", "timed_out": "failure", "error": "failure"}


class NotesOptions(Value, frozen=True, kw_only=True):
    """`ref` is where the notes are kept."""

    ref: str = PREFIX + NAME


def kind_in(repository: Repository) -> NotifierKind:
    """Return the kind that writes into this repository."""
    return NotifierKind(
        name="git-notes",
        options_type=NotesOptions,
        open=lambda options: Notes(options, repository.reopen()),
        every_run=True,
        culprits=True,
    )


class Notes:
    """Adds a line when a run has ended. The same line is never there twice, however often it is tried."""

    def __init__(self, options: NotesOptions, repository: Repository) -> None:
        try:
            check_ref_name(options.ref)
        except GitError as error:
            raise ConfigError((f"ref: {error.message}",)) from error
        if not options.ref.startswith(PREFIX):
            raise ConfigError((f'ref: notes are kept below "{PREFIX}"',))
        self._ref = options.ref
        self._repository = repository

    def send(self, notice: Notice) -> None:
        if notice.commit is None:
            raise NotSent("there is no commit to write a note for", is_final=True)
        if notice.event == TEST_EVENT:
            read_note(self._repository, self._ref, notice.commit)
        elif notice.verdict is not None:
            append_note(self._repository, self._ref, notice.commit, line_of(notice))


def line_of(notice: Notice) -> str:
    """Return the line of a run. `status` is there for what git-appraise has a word for."""
    facts: dict[str, Any] = {"timestamp": str(int(notice.at)), "agent": "cicdctl"}
    if notice.verdict in _STATUS:
        facts["status"] = _STATUS[notice.verdict]
    facts |= {
        "v": 0,
        "pipeline": notice.pipeline,
        "verdict": notice.verdict,
        "run": notice.run,
        "tree": notice.tree,
        "ref": notice.ref,
        "seconds": notice.seconds,
        "failed": list(notice.failed),
    }
    if notice.culprit:
        facts["culprit"] = notice.culprit
    if notice.url:
        facts["url"] = notice.url
    return json.dumps(facts, ensure_ascii=True, separators=(",", ":"))
