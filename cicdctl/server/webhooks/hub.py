"""Everything the server has for webhooks: whose secrets count, what is refused, and the desk that takes the others."""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cicdctl.config import Settings
from cicdctl.config.webhook_secrets import COMMON_SECRET, MOST_SECRETS, SOURCEHUT, webhook_secrets
from cicdctl.model import Value
from cicdctl.project import Project
from cicdctl.server.counters import Counters
from cicdctl.server.webhooks.desk import Desk
from cicdctl.server.webhooks.room import Room
from cicdctl.server.webhooks.sourcehut import address_part, is_ours, require_sourcehut
from cicdctl.store.deliveries import open_deliveries

MOST_BODY_BYTES = 25 * 10**6


class Refused(Value, frozen=True, kw_only=True):
    """Deliveries to one address without a proof, since the server started. `at` is the last, in Unix seconds."""

    count: int
    at: float


class Webhooks:
    """Safe from any thread, but for `desk` and `room`, which are the event loop's."""

    def __init__(self, state_folder: Path, counters: Counters, *, look_now: Callable[[], object]) -> None:
        self._state_folder = state_folder
        self._counters = counters
        self.store = open_deliveries(state_folder)
        self.desk = Desk(self.store, on_news=look_now)
        self.room = Room()
        self.most_bytes = 0
        self._mutex = threading.Lock()
        self._secrets: Mapping[str, tuple[bytes, ...]] = {}
        self._refused: dict[str, Refused] = {}
        self._sourcehut_end = ""
        # Compared with where there is no secret, so that nothing is answered sooner.
        self._nobodys = tuple(base64.b64encode(os.urandom(32)) for _ in range(MOST_SECRETS))

    def configure(self, settings: Settings) -> None:
        """Go by these settings from now on. Raises ConfigError, StoreError."""
        secrets = webhook_secrets(settings)
        if SOURCEHUT in secrets:
            self._sourcehut_end = address_part(self._state_folder)
        self._secrets = secrets
        self.most_bytes = min(settings.server.max_webhook_bytes, MOST_BODY_BYTES)

    @property
    def forges(self) -> tuple[str, ...]:
        """Those that are configured."""
        return tuple(self._secrets)

    def secrets_of(self, forge: str) -> tuple[bytes, ...]:
        """Return as many secrets for every name, of which some are nobody's."""
        own = self._secrets.get(forge, ())
        return (*own, *self._nobodys[len(own) :])

    def knows_address(self, forge: str, end: str) -> bool:
        """Whether an address ends as it must: only sourcehut's has an end of its own."""
        return is_ours(end, self._sourcehut_end if forge == SOURCEHUT else "")

    def refuse(self, forge: str) -> None:
        """Take note of a delivery that was not proved."""
        with self._mutex:
            name = self._name(forge)
            before = self._refused.get(name)
            self._refused[name] = Refused(count=before.count + 1 if before else 1, at=time.time())

    def count(self, forge: str, status: int) -> None:
        """Take note of an answer, for `/metrics`."""
        self._counters.count("webhook_answers", forge=self._name(forge), answer=str(status))

    def _name(self, forge: str) -> str:
        """Whoever sends makes up names as he likes; what is counted must not grow with them."""
        return forge if forge in self._secrets else "others"

    def refused(self) -> Mapping[str, Refused]:
        """Return what was refused, by forge; `others` are those without a secret here."""
        with self._mutex:
            return dict(self._refused)

    def close(self) -> None:
        """Let those who wait be served, then release everything."""
        self.desk.close()
        self.store.close()


def check_webhooks(project: Project) -> None:
    """Refuse a configuration before anything is served with it.

    Raises ConfigError for secrets that are missing or protect nothing, NotAvailable for sourcehut without its library.
    """
    # A variable that is not set must not leave a forge with the secret of the others.
    for path in (("server",), COMMON_SECRET):
        project.configuration.resolved.require(*path)
    if SOURCEHUT in webhook_secrets(project.settings):
        require_sourcehut()
