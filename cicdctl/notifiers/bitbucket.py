"""`uses = "bitbucket"` (Cloud) and `uses = "bitbucket-server"` (Data Center): a build status of a commit.

https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses/
https://developer.atlassian.com/server/bitbucket/how-tos/updating-build-status-for-commits/
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

from cicdctl.errors import ConfigError
from cicdctl.kinds import NotifierKind
from cicdctl.notifiers.statuses import Status, Statuses, StatusOptions

_MAX_KEY = 40


class BitbucketOptions(StatusOptions, frozen=True, kw_only=True):
    """With `username` the token is sent as its password: an API token; without, as an access token."""

    username: str | None = None


class Bitbucket(Statuses):
    """Every status needs an address; without `link` it is the commit's page."""

    DEFAULT_URL: str | None = "https://api.bitbucket.org"
    STATES = {
        "running": "INPROGRESS",
        "passed": "SUCCESSFUL",
        "failed": "FAILED",
        "timed_out": "FAILED",
        "error": "FAILED",
        "interrupted": "FAILED",
        "cancelled": "STOPPED",
        "skipped": "STOPPED",
    }
    options: BitbucketOptions

    def __init__(self, options: BitbucketOptions) -> None:
        super().__init__(options)
        if options.repository.count("/") != 1:
            raise ConfigError(('"repository" must be like "workspace/name"',))

    def _path(self, status: Status) -> str:
        return f"/2.0/repositories/{self.options.repository}/commit/{status.commit}/statuses/build"

    def _page(self, status: Status) -> str:
        return f"https://bitbucket.org/{self.options.repository}/commits/{status.commit}"

    def _body(self, status: Status, state: str) -> dict[str, Any]:
        return {
            "key": key_of(status.context),
            "name": status.context,
            "state": state,
            "url": status.link or self._page(status),
            "description": status.description,
        }

    def _headers(self) -> dict[str, str]:
        options = self.options
        if options.username is None:
            return {"Authorization": f"Bearer {options.token}"}
        pair = b64encode(f"{options.username}:{options.token}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}


class BitbucketServer(Bitbucket):
    """`repository` is `PROJECT/name`; `url` is that of the server, without `/rest`."""

    DEFAULT_URL = None
    STATES = Bitbucket.STATES | {"cancelled": "CANCELLED", "skipped": "CANCELLED"}

    def _path(self, status: Status) -> str:
        project, name = self.options.repository.split("/")
        return f"/rest/api/latest/projects/{project}/repos/{name}/commits/{status.commit}/builds"

    def _page(self, status: Status) -> str:
        project, name = self.options.repository.split("/")
        return f"{self.endpoint.url}/projects/{project}/repos/{name}/commits/{status.commit}"

    def _body(self, status: Status, state: str) -> dict[str, Any]:
        return super()._body(status, state) | ({"ref": status.ref} if status.ref else {})


def key_of(context: str) -> str:
    """Return what tells this status from others: the context, or its digest where that is too long."""
    return context if len(context) <= _MAX_KEY else hashlib.sha256(context.encode()).hexdigest()[:_MAX_KEY]


KINDS = (
    NotifierKind(name="bitbucket", options_type=BitbucketOptions, open=Bitbucket, every_run=True),
    NotifierKind(name="bitbucket-server", options_type=BitbucketOptions, open=BitbucketServer, every_run=True),
)
