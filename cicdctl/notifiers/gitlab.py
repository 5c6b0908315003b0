"""`uses = "gitlab"`: an external job in the pipeline of a commit. https://docs.gitlab.com/api/commits/"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from cicdctl.kinds import NotifierKind
from cicdctl.notifiers.http import Answer
from cicdctl.notifiers.statuses import Status, Statuses, StatusOptions, message_of


class GitLab(Statuses):
    """Needs a token with the scope `api`. Without the ref GitLab guesses one of those that hold the commit."""

    DEFAULT_URL: str | None = "https://gitlab.com/api/v4"
    STATES = {
        "running": "running",
        "passed": "success",
        "failed": "failed",
        "timed_out": "failed",
        "error": "failed",
        "interrupted": "failed",
        "cancelled": "canceled",
        "skipped": "skipped",
    }

    def _path(self, status: Status) -> str:
        return f"/projects/{quote(self.options.repository, safe='')}/statuses/{status.commit}"

    def _body(self, status: Status, state: str) -> dict[str, Any]:
        body = {"state": state, "name": status.context, "description": status.description}
        if status.ref is not None:
            body["ref"] = status.ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
        return body | ({"target_url": status.link} if status.link else {})

    def _headers(self) -> dict[str, str]:
        return {"PRIVATE-TOKEN": self.options.token}

    def _is_there(self, status: Status, answer: Answer) -> bool:
        # "Cannot transition status via :run from :running" answers a state that is sent twice.
        message = message_of(answer)
        return answer.status == 400 and "Cannot transition" in message and f"from :{self._state(status)}" in message


KIND = NotifierKind(name="gitlab", options_type=StatusOptions, open=GitLab, every_run=True)
