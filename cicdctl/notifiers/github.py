"""`uses = "github"`: a commit status on GitHub or GitHub Enterprise Server.

https://docs.github.com/en/rest/commits/statuses#create-a-commit-status
"""

from __future__ import annotations

from typing import Any

from cicdctl.kinds import NotifierKind
from cicdctl.notifiers.statuses import Status, Statuses, StatusOptions


class GitHub(Statuses):
    """Needs a token with `statuses: write`. A context holds at most 1000 statuses per commit."""

    DEFAULT_URL: str | None = "https://api.github.com"
    STATES = {
        "running": "pending",
        "passed": "success",
        "failed": "failure",
        "timed_out": "failure",
        "error": "error",
        "interrupted": "error",
        "cancelled": "error",
    }

    def _path(self, status: Status) -> str:
        return f"/repos/{self.options.repository}/statuses/{status.commit}"

    def _body(self, status: Status, state: str) -> dict[str, Any]:
        body = {"state": state, "context": status.context, "description": status.description}
        return body | ({"target_url": status.link} if status.link else {})

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.options.token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }


KIND = NotifierKind(name="github", options_type=StatusOptions, open=GitHub, every_run=True)
