"""`uses = "slack"`: a message to a channel, by an incoming webhook of Slack or of what speaks its language."""

from __future__ import annotations

import time

from cicdctl.kinds import Notice, NotifierKind
from cicdctl.model import Value
from cicdctl.notifiers.http import Endpoint, post_json

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "'", "*": "∗"}
_MARKS = {"passed": ":white_check_mark:", None: ":arrow_forward:"}
_MAX_TITLE, _MAX_TEXT = 600, 2300  # together below the 3000 of a section
_SECONDS_BETWEEN = 1.0  # https://docs.slack.dev/apis/web-api/rate-limits: one message a second and channel


class SlackOptions(Value, frozen=True, kw_only=True):
    """`url` is the incoming webhook's; whoever knows it can write to the channel."""

    url: str
    ca_file: str | None = None


class Slack:
    """Sends plain text in a section; nothing in it can mention or ping anybody."""

    def __init__(self, options: SlackOptions) -> None:
        self.endpoint = Endpoint(url=options.url, ca_file=options.ca_file)
        self._next_at = 0.0

    def send(self, notice: Notice) -> None:
        time.sleep(max(0.0, self._next_at - time.monotonic()))
        self._next_at = time.monotonic() + _SECONDS_BETWEEN
        post_json(self.endpoint, message_of(notice)).raise_for_status()


def message_of(notice: Notice) -> dict[str, object]:
    """Return the body of the request."""
    title, text = escape(notice.title, _MAX_TITLE), escape(notice.text, _MAX_TEXT)
    mark = _MARKS.get(notice.verdict, ":x:")
    body = f"{mark} *{title}*" + (f"\n```{text}```" if text else "")
    section = {"type": "section", "text": {"type": "mrkdwn", "text": body, "verbatim": True}}
    return {"text": title, "blocks": [section]}


def escape(text: str, limit: int) -> str:
    """Replace what Slack gives a meaning to, and what would end our own marks; at most `limit` characters."""
    parts: list[str] = []
    room = limit - 1
    for letter in text:
        part = _ESCAPES.get(letter, letter)
        room -= len(part)
        if room < 0:
            return "".join(parts) + "…"
        parts.append(part)
    return "".join(parts)


KIND = NotifierKind(name="slack", options_type=SlackOptions, open=Slack)
