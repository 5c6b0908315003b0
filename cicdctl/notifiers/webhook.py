"""`uses = "webhook"`: a JSON document by POST, signed as https://www.standardwebhooks.com lays down."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from cicdctl.errors import ConfigError
from cicdctl.kinds import Notice, NotifierKind
from cicdctl.model import Value
from cicdctl.notifiers.http import Endpoint, post

_MIN_KEY_BYTES = 24  # the standard's own lower bound


class WebhookOptions(Value, frozen=True, kw_only=True):
    """`secret` is `whsec_` and base64 of 24 to 64 bytes; a list of two while one replaces the other."""

    url: str
    secret: str | tuple[str, ...]
    headers: Mapping[str, str] = {}
    ca_file: str | None = None


class Webhook:
    """Sends thin documents. The id of a message stays the same over its tries, so a receiver can drop doubles."""

    def __init__(self, options: WebhookOptions) -> None:
        secrets = (options.secret,) if isinstance(options.secret, str) else options.secret
        self._keys = tuple(map(read_key, secrets))
        if not self._keys:
            raise ConfigError(('"secret" names no secret',))
        self._headers = options.headers
        self.endpoint = Endpoint(url=options.url, ca_file=options.ca_file)

    def send(self, notice: Notice) -> None:
        body = json.dumps(document_of(notice), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        sent_at = str(int(time.time()))
        content = b".".join((notice.id.encode(), sent_at.encode(), body))
        post(
            self.endpoint,
            body,
            {
                **self._headers,
                "Content-Type": "application/json",
                "webhook-id": notice.id,
                "webhook-timestamp": sent_at,
                "webhook-signature": " ".join(f"v1,{sign(key, content)}" for key in self._keys),
            },
        ).raise_for_status()


def document_of(notice: Notice) -> dict[str, object]:
    """Return the body of a message: `type`, `timestamp` and `data`. Fields are added, never renamed."""
    return {
        "type": f"run.{notice.event}",
        "timestamp": datetime.fromtimestamp(notice.at, UTC).isoformat().replace("+00:00", "Z"),
        "data": {
            "project": notice.project,
            "pipeline": notice.pipeline,
            "run": notice.run,
            "verdict": notice.verdict,
            "previous": notice.previous,
            "ref": notice.ref,
            "commit": notice.commit,
            "seconds": notice.seconds,
            "failed_stages": list(notice.failed),
            "title": notice.title,
            "text": notice.text,
            "url": notice.url,
        },
    }


def sign(key: bytes, content: bytes) -> str:
    """Return the base64 of the HMAC-SHA256 of `id.timestamp.body`."""
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def read_key(secret: str) -> bytes:
    """Return the key in `whsec_<base64>`. Raises ConfigError without quoting it."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith("whsec_") or not _MIN_KEY_BYTES <= len(key) <= 64:
        raise ConfigError(
            ('"secret" must be "whsec_" and the base64 of 24 to 64 bytes',),
            hint='echo "whsec_$(openssl rand -base64 32)" makes one',
        )
    return key


KIND = NotifierKind(name="webhook", options_type=WebhookOptions, open=Webhook)
