"""One HTTP request to a sink: no redirects, at most 4 KB of answer, and an answer that says whether to try again."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from cicdctl.errors import NotSent
from cicdctl.model import Value
from cicdctl.notifiers.addresses import TIMEOUT_S, dial, say
from cicdctl.notifiers.text import one_line

MAX_ANSWER_BYTES = 4096
_TRY_AGAIN = frozenset({408, 409, 425, 429})


class Endpoint(Value, frozen=True, kw_only=True):
    """Where a notifier sends to. `ca_file` holds certificates to trust instead of the system's."""

    url: str
    ca_file: str | None = None
    may_be_private: bool = False


class Answer(Value, frozen=True, kw_only=True):
    """What a server said; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_good(self) -> bool:
        """Whether the server took it."""
        return 200 <= self.status < 300

    def raise_for_status(self) -> None:
        """Raise NotSent unless it was taken: final for what a second try cannot mend."""
        if self.is_good:
            return
        if 300 <= self.status < 400:
            raise NotSent(f"answered {self.status}: redirects are not followed", is_final=True)
        wait_s = self._retry_after_s()
        is_final = 400 <= self.status < 500 and self.status not in _TRY_AGAIN and not wait_s
        hint = "check the address and its token or secret" if self.status in (401, 403, 404) else ""
        said = one_line(self.body.decode("utf-8", "replace"), 120)
        words = f"answered {self.status}" + (f": {said}" if said else "")
        raise NotSent(words, hint=hint, retry_after_s=wait_s, is_final=is_final)

    def _retry_after_s(self) -> float:
        text = self.headers.get("retry-after", "")
        try:
            if not text and self.headers.get("x-ratelimit-remaining") == "0":  # GitHub's way to say so
                return max(1.0, float(self.headers["x-ratelimit-reset"]) - time.time())
            return max(0.0, float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - time.time())
        except (KeyError, ValueError, TypeError, OverflowError):
            return 0.0


def post_json(endpoint: Endpoint, document: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """Send a document by POST. Raises NotSent when there is no answer."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return post(endpoint, body, {"Content-Type": "application/json", **(headers or {})})


def post(endpoint: Endpoint, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send bytes by POST. Raises NotSent when the address makes no sense or there is no answer."""
    connection, target = _open(endpoint)
    try:
        connection.request("POST", target, body=body, headers={"User-Agent": "cicdctl", **headers})
        answer = connection.getresponse()
        return Answer(
            status=answer.status,
            headers={name.lower(): value for name, value in answer.getheaders()},
            body=answer.read(MAX_ANSWER_BYTES),
        )
    except ssl.SSLCertVerificationError as error:
        raise NotSent(f"its certificate is refused: {error.verify_message}") from error
    except (OSError, http.client.HTTPException) as error:
        raise NotSent(f"no answer: {say(error)}") from error
    except ValueError as error:  # a header or an address with control characters in it
        raise NotSent("the address or a header holds a character that cannot be sent", is_final=True) from error
    finally:
        connection.close()


def _open(endpoint: Endpoint) -> tuple[http.client.HTTPConnection, str]:
    try:
        parts = urlsplit(endpoint.url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("http", "https"):
        raise NotSent('"url" must be a whole http or https address', is_final=True)
    if parts.username is not None:
        raise NotSent('"url" must not hold a user name or password', is_final=True)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kind = _Secure if parts.scheme == "https" else _Plain
    return kind(host, port, endpoint), target


class _Plain(http.client.HTTPConnection):
    """Connects where the addresses of the host allow it; `Host` is what the address says."""

    def __init__(self, host: str, port: int | None, endpoint: Endpoint) -> None:
        super().__init__(host, port, timeout=TIMEOUT_S)
        self._endpoint = endpoint

    def connect(self) -> None:
        self.sock = dial(self.host, self.port, may_be_private=self._endpoint.may_be_private)


class _Secure(_Plain):
    default_port = 443

    def connect(self) -> None:
        super().connect()
        self.sock = secure_context(self._endpoint.ca_file).wrap_socket(self.sock, server_hostname=self.host)


def secure_context(ca_file: str | None) -> ssl.SSLContext:
    """Return what checks a server's certificate and name. Raises NotSent when `ca_file` cannot be read."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise NotSent(f'"ca_file" cannot be read: {say(error)}') from error
