"""What forges have told, for whoever looks at git: a delivery is a hint to look, and done once somebody did."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from cicdctl.config.settings import OrchestratorSettings
from cicdctl.errors import StoreError
from cicdctl.orchestrator.change import Wishes, read_wishes
from cicdctl.orchestrator.looking import Look
from cicdctl.project import Project
from cicdctl.store.deliveries import DeliveryStore, open_deliveries
from cicdctl.units import count

# Forges drop deliveries and switch webhooks off: whatever they tell, git is asked now and then.
RECONCILE_S = 300.0
_log = logging.getLogger("cicdctl.webhooks")


class Hearing:
    """The deliveries of one repository; without a store nobody hears any. Safe from any thread."""

    def __init__(self, store: DeliveryStore | None = None) -> None:
        self._store = store
        self._missed_at: float | None = None
        self._has_looked = False

    def newest_waiting(self) -> int | None:
        """Give the newest delivery that waits; None when none does. Raises StoreError."""
        return None if self._store is None else self._store.newest_waiting()

    def wishes(self, look: Look) -> Mapping[tuple[str, str], Wishes]:
        """Return what those who pushed asked for, by ref and new value. Raises StoreError.

        Each counts only for the very value that git shows: the delivery itself is believed nothing.
        """
        if self._store is None or look.heard is None or not look.sightings:
            return {}
        found: dict[tuple[str, str], Wishes] = {}
        for delivery in self._store.with_options(look.heard):
            wishes = read_wishes(delivery.options)
            found |= {(hint.ref, hint.new): wishes for hint in delivery.hints if hint.new is not None}
        return found

    def take_note(self, look: Look) -> None:
        """Note that a look was taken in: what waited when it began is done. Raises StoreError."""
        if self._store is None:
            return
        # The first look of a process may find what came while nobody could hear of it.
        if look.sightings and look.heard is None and self._has_looked:
            self._missed_at = time.time()
        self._has_looked = True
        if look.heard is not None:
            done = self._store.finish(look.heard)
            _log.info("looked at because of what forges told: %s", count(done, "delivery", "deliveries"))

    def is_healthy(self) -> bool:
        """Whether a forge has told something since a look last found what none had told of. Raises StoreError."""
        told_at = None if self._store is None else self._store.last_genuine_at()
        return told_at is not None and (self._missed_at is None or told_at > self._missed_at)

    def interval_s(self, settings: OrchestratorSettings) -> float:
        """Seconds until git is asked without any hint."""
        if settings.monitoring.method != "webhook":
            return settings.watch_interval_s
        try:
            if not self.is_healthy():
                return settings.polling_interval_s
        except StoreError:
            return settings.polling_interval_s  # whoever looks will tell
        given_s = settings.monitoring.interval_s
        return max(RECONCILE_S, settings.polling_interval_s) if given_s is None else given_s

    def close(self) -> None:
        """Release the store."""
        if self._store is not None:
            self._store.close()


def hear(project: Project) -> Hearing:
    """Open what forges have told of a repository. Raises StoreError."""
    return Hearing(open_deliveries(project.state_folder))
