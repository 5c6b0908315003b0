"""Makes deliveries durable, as many at once as wait: one flush to the disk for all of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from cicdctl.errors import CicdError
from cicdctl.store.deliveries import Delivery, DeliveryStore, Receipt
from cicdctl.store.failpoints import reach

_MOST_AT_ONCE = 500


class _Waiting:
    """A delivery, and who waits for it where."""

    def __init__(self, delivery: Delivery, future: asyncio.Future[Receipt]) -> None:
        self.delivery = delivery
        self.future = future
        self.loop = future.get_loop()


class Desk(threading.Thread):
    """Writes in a thread of its own, which starts with the first delivery. `on_news`: something durable waits."""

    def __init__(self, store: DeliveryStore, *, on_news: Callable[[], object]) -> None:
        super().__init__(name="webhooks", daemon=True)
        self._store = store
        self._on_news = on_news
        self._inbox: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._has_begun = False

    async def take(self, delivery: Delivery) -> Receipt:
        """Return once the delivery survives a power loss, or is not wanted. Raises StoreError.

        Called in one event loop only.
        """
        if not self._has_begun:
            self._has_begun = True
            self.start()
        waiting = _Waiting(delivery, asyncio.get_running_loop().create_future())
        self._inbox.put(waiting)
        return await waiting.future

    def close(self) -> None:
        """Write what is still there, then end."""
        self._inbox.put(None)
        if self._has_begun:
            self.join()

    def run(self) -> None:
        while (first := self._inbox.get()) is not None:
            batch = [first]
            is_ending = False
            with suppress(Empty):
                while len(batch) < _MOST_AT_ONCE and not is_ending:
                    one = self._inbox.get_nowait()
                    is_ending = one is None
                    if one is not None:
                        batch.append(one)
            self._write(batch)
            if is_ending:
                return

    def _write(self, batch: Sequence[_Waiting]) -> None:
        receipts: list[Receipt] = []
        failure: Exception | None = None
        try:
            receipts = self._store.accept([one.delivery for one in batch])
            reach("webhook-stored")
        except Exception as error:  # whoever waits is told of it, whatever it is
            failure = error if isinstance(error, CicdError) else RuntimeError(f"a delivery cannot be stored: {error!r}")
        if any(receipt.fate == "waiting" for receipt in receipts):
            self._on_news()
        with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            batch[0].loop.call_soon_threadsafe(_settle, batch, receipts, failure)


def _settle(batch: Sequence[_Waiting], receipts: Sequence[Receipt], failure: Exception | None) -> None:
    for number, one in enumerate(batch):
        if one.future.done():
            continue
        if failure is not None:
            one.future.set_exception(failure)
        else:
            one.future.set_result(receipts[number])
