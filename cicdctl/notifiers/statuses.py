"""What the statuses of all forges have in common: one state per commit and pipeline, the newest wins."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from cicdctl.errors import ConfigError, NotSent
from cicdctl.kinds import Notice
from cicdctl.model import Value
from cicdctl.notifiers.events import TEST_EVENT
from cicdctl.notifiers.http import Answer, Endpoint, post_json
from cicdctl.notifiers.text import cut, one_line
from cicdctl.units import format_duration

MAX_DESCRIPTION = 140
RUNNING = "running"
_REPOSITORY = re.compile(r"[A-Za-z0-9_.~-]+(/[A-Za-z0-9_.~-]+)+")
_NO_COMMIT = re.compile(r"\b(commit|sha|object|ref)", re.IGNORECASE)


class StatusOptions(Value, frozen=True, kw_only=True):
    """`repository` is `owner/name` on the forge; `url` where its API begins; `context` what names begin with.

    `link` is where a status leads; `{run}`, `{pipeline}` and `{commit}` in it are filled in. `skipped` is the
    state of a skipped run where the forge has no word for it: an error, lest `[skip ci]` makes a commit green.
    """

    repository: str
    token: str
    url: str | None = None
    context: str = "cicdctl"
    link: str | None = None
    skipped: Literal["error", "success"] = "error"
    ca_file: str | None = None


class Status(Value, frozen=True, kw_only=True):
    """One state in the words all forges share: `running` or a verdict."""

    state: str
    commit: str
    context: str
    description: str
    link: str | None
    ref: str | None


class Statuses:
    """Posts a status per notice; a forge says by `STATES`, `_path`, `_body` and `_headers` how."""

    STATES: Mapping[str, str]
    DEFAULT_URL: str | None = None

    def __init__(self, options: StatusOptions) -> None:
        url = options.url or self.DEFAULT_URL
        if url is None:
            raise ConfigError(('"url" is missing: where the API of the forge begins',))
        if not _REPOSITORY.fullmatch(options.repository) or ".." in options.repository:
            raise ConfigError(('"repository" must be like "owner/name"',))
        if not options.token.isascii() or not options.token.isprintable() or not options.token:
            raise ConfigError(('"token" is empty or holds a character that no token has',))
        self.options = options
        self.endpoint = Endpoint(url=url.rstrip("/"), ca_file=options.ca_file)

    def send(self, notice: Notice) -> None:
        if notice.commit is None:
            raise NotSent("there is no commit to put a status on", is_final=True)
        status = self._status(notice)
        endpoint = Endpoint(
            url=self.endpoint.url + self._path(status),
            ca_file=self.endpoint.ca_file,
            may_be_private=self.endpoint.may_be_private,
        )
        answer = post_json(endpoint, self._body(status, self._state(status)), self._headers())
        if self._is_there(status, answer):
            return
        try:
            answer.raise_for_status()
        except NotSent as error:
            if answer.status in (400, 404, 422) and _NO_COMMIT.search(message_of(answer)):
                # It is not pushed yet.
                raise NotSent(error.message, hint="is the commit there?") from error
            raise

    def _status(self, notice: Notice) -> Status:
        assert notice.commit is not None
        verdict = notice.verdict if notice.verdict is not None else RUNNING
        return Status(
            state=verdict,
            commit=notice.commit,
            context=f"{self.options.context}/{notice.pipeline}",
            description=describe(notice),
            link=self._link(notice),
            ref=notice.ref,
        )

    def _link(self, notice: Notice) -> str | None:
        link = self.options.link
        for name in ("run", "pipeline", "commit"):
            if link is not None:
                link = link.replace("{" + name + "}", quote(str(getattr(notice, name)), safe=""))
        return link

    def _state(self, status: Status) -> str:
        if status.state == "skipped" and "skipped" not in self.STATES:
            return self.STATES["passed" if self.options.skipped == "success" else "error"]
        return self.STATES[status.state]

    def _is_there(self, status: Status, answer: Answer) -> bool:
        """Whether an answer that looks like a failure means that the status is there already."""
        return False

    def _path(self, status: Status) -> str:
        raise NotImplementedError

    def _body(self, status: Status, state: str) -> dict[str, Any]:
        raise NotImplementedError

    def _headers(self) -> dict[str, str]:
        raise NotImplementedError


def describe(notice: Notice) -> str:
    """Return one line for beside the state."""
    if notice.event == TEST_EVENT:
        return "a test of the notifier"
    words = f"run #{notice.run} " + (notice.verdict or RUNNING).replace("_", " ")
    if notice.failed:
        words += f": {', '.join(notice.failed)}"
    elif notice.verdict == "passed":
        words += f" in {format_duration(notice.seconds)}"
    return cut(one_line(words), MAX_DESCRIPTION)


def message_of(answer: Answer) -> str:
    """Return the message in an answer: of its JSON, else the whole of it."""
    text = answer.body.decode("utf-8", "replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    for name in ("message", "error", "errors"):
        if isinstance(document, dict) and document.get(name):
            return json.dumps(document[name])
    return text
