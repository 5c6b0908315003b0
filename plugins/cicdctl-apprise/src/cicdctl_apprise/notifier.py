"""The notifier `apprise`: a notice to every address, each tried until it took the notice."""

from __future__ import annotations

from typing import Any

from cicdctl.plugin_api import ConfigError, Notice, NotifierKind, NotSent, Value, hookimpl

_GOOD = ("passed", "fixed", "test")
_BAD = ("broken", "failed", "still_failing", "escalated")


class AppriseOptions(Value, frozen=True, kw_only=True):
    """`urls` is one address or a list, as Apprise writes them."""

    urls: str | tuple[str, ...]


class AppriseNotifier:
    """Sends plain text. Apprise tells of a failure by False only; its log may hold tokens and is not repeated."""

    def __init__(self, options: AppriseOptions) -> None:
        # 0.1 s to import: only where a notice is due.
        from apprise import Apprise, AppriseAsset

        asset = AppriseAsset(app_id="cicdctl", app_desc="cicdctl", async_mode=False, secure_logging=True)
        urls = (options.urls,) if isinstance(options.urls, str) else options.urls
        self._services: list[Any] = []
        for place, url in enumerate(urls):
            service = Apprise.instantiate(url, asset=asset)
            if service is None:
                raise ConfigError((f"urls[{place}]: Apprise knows no such address",))
            self._services.append(service)
        if not self._services:
            raise ConfigError(('"urls" names nothing',))
        self._notice = ""
        self._done: set[int] = set()

    def send(self, notice: Notice) -> None:
        """Send to those services that have not taken this notice yet."""
        from apprise import NotifyFormat, NotifyType

        if notice.id != self._notice:
            self._notice, self._done = notice.id, set()
        kind = (
            NotifyType.SUCCESS
            if notice.event in _GOOD
            else NotifyType.FAILURE
            if notice.event in _BAD
            else NotifyType.INFO
        )
        failed = []
        for place, service in enumerate(self._services):
            if place in self._done:
                continue
            if service.notify(body=notice.text, title=notice.title, notify_type=kind, body_format=NotifyFormat.TEXT):
                self._done.add(place)
            else:
                failed.append(service.service_name)
        if failed:
            raise NotSent(f"not taken by {', '.join(map(str, failed))}")


@hookimpl
def cicdctl_notifiers() -> list[NotifierKind]:
    """Provide the notifier `apprise`."""
    return [NotifierKind(name="apprise", options_type=AppriseOptions, open=AppriseNotifier)]
