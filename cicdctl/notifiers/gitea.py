"""`uses = "gitea"` and `uses = "forgejo"`: a commit status, by the API that both share with GitHub."""

from __future__ import annotations

from cicdctl.kinds import NotifierKind
from cicdctl.notifiers.github import GitHub
from cicdctl.notifiers.statuses import StatusOptions


class Gitea(GitHub):
    """Needs a token with `write:repository`; `url` ends in `/api/v1`."""

    DEFAULT_URL = None

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.options.token}", "Accept": "application/json"}


KINDS = tuple(
    NotifierKind(name=name, options_type=StatusOptions, open=Gitea, every_run=True) for name in ("gitea", "forgejo")
)
