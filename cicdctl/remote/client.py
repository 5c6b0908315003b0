"""Speaks with a server: JSON in, JSON out, its refusals as our errors. Nothing else here knows HTTP."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from cicdctl.errors import CicdError, ConfigError, GitError, Paused, StoreError, UsageError
from cicdctl.model import Value

TIMEOUT_S = 30.0
MOST_BYTES = 64 * 2**20
PART_BYTES = 4 * 2**20  # of a file, which may be larger than the memory
MOST_LINE_BYTES = 4 * 2**20  # of a stream; ours are a tenth of it
ANSWER_S = 600.0  # for the whole of an answer; TIMEOUT_S is for each part of it
_PART_BYTES = 256 * 1024
_MOST_TEXT = 1000
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
TOKEN_VARIABLE = "CICDCTL_TOKEN"


class Unreachable(StoreError):
    """The server does not answer. What was asked for may have happened or not; asking for state is harmless."""


class NotThere(StoreError):
    """There is no such run."""


class Address(Value, frozen=True, kw_only=True):
    """Where a server is; `prefix` is what comes before each path, without a slash at its end."""

    is_secure: bool
    host: str
    port: int
    prefix: str = ""

    @property
    def text(self) -> str:
        """The address as people write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.is_secure else 80
        port = "" if self.port == usual else f":{self.port}"
        return f"http{'s' if self.is_secure else ''}://{host}{port}{self.prefix}"


def read_server_address(text: str) -> Address:
    """Read `https://ci.example.org`. Raises UsageError, also for one with a user or a password in it."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise UsageError(f'"{text}" is no address of a server') from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f'"{text}" is no address of a server', hint="for example https://ci.example.org")
    if parts.username or parts.password:
        raise UsageError("the address of a server holds no user", hint=f"{TOKEN_VARIABLE} is for the token")
    is_secure = parts.scheme == "https"
    return Address(
        is_secure=is_secure,
        host=parts.hostname,
        port=port or (443 if is_secure else 80),
        prefix=parts.path.rstrip("/"),
    )


class Client:
    """One server. Keeps a connection; not for several threads at once. `token` may be empty.

    `has_heard`: it has answered something. Raises UsageError for a token that cannot be one.
    """

    def __init__(self, address: Address, token: str) -> None:
        # A token out of a file has a newline at its end. What is no token is named in no error: it may be a secret.
        if re.fullmatch(r"[\x21-\x7e]*", token.strip()) is None:
            raise UsageError(f"{TOKEN_VARIABLE} holds no token", hint="cicdctl token create NAME makes one there")
        self.address = address
        self.has_heard = False
        self._token = token.strip()
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        """Let go of the connection; calling it again does nothing."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Any:
        """Return a JSON document. Raises UsageError, StoreError, Unreachable, as the server says."""
        return _plain(self._read(self._ask("GET", path, query)))

    def get_lines(self, path: str, query: Mapping[str, object] | None = None) -> Any:
        """Return a window of a log, with what a terminal would obey: whoever shows it removes that."""
        return self._read(self._ask("GET", path, query))

    def post(self, path: str, body: Mapping[str, object] | None = None, *, key: str | None = None) -> Any:
        """Have something done and return what the server says; with `key` once, however often it is asked."""
        headers = {"Idempotency-Key": key} if key else {}
        sent = msgspec.json.encode(body or {})
        return _plain(self._read(self._ask("POST", path, None, sent, headers, again=key is not None)))

    def fetch(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        """Yield a file from a byte on, a part after the other; nothing when there is nothing behind it."""
        at = offset
        while True:
            wanted = {"Range": f"bytes={at}-{at + PART_BYTES - 1}"}
            answer = self._ask("GET", path, None, b"", wanted, bears=(416,))
            part = self._whole(answer)
            if answer.status == 416:
                return
            if answer.status != 206:  # all of it, whatever was wanted
                yield part[at:]
                return
            if not (answer.getheader("content-range") or "").startswith(f"bytes {at}-"):
                raise StoreError(f"{self.address.text} sends another part of a file than was asked for")
            yield part
            at += len(part)
            if len(part) < PART_BYTES:
                return

    def stream(self, path: str, query: Mapping[str, object] | None = None) -> Iterator[tuple[str, str, str]]:
        """Yield (id, event, data) of a stream of events until it ends. On a connection of its own."""
        connection = self._connect()
        try:
            answer = self._send(connection, "GET", _with_query(path, query), b"", {"Accept": "text/event-stream"})
            self._refuse(answer)
            yield from _events(answer)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        again: bool = True,
        bears: tuple[int, ...] = (),
    ) -> http.client.HTTPResponse:
        """Ask, and once more on a new connection when the kept one had been closed meanwhile."""
        was_kept = self._connection is not None
        self._connection = self._connection or self._connect()
        try:
            answer = self._send(self._connection, method, _with_query(path, query), body, headers or {})
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if was_kept and again:
                return self._ask(method, path, query, body, headers, again=False, bears=bears)
            raise self._unreachable(error) from error
        if answer.status not in bears:
            self._refuse(answer)
        return answer

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        sent = {"Accept": "application/json", **headers}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        if method != "GET":
            sent["Content-Type"] = "application/json"
        connection.request(method, self.address.prefix + path, body or None, sent)
        answer = connection.getresponse()
        self.has_heard = True
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self.address.host, self.address.port
        if self.address.is_secure:
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)

    def _read(self, answer: http.client.HTTPResponse) -> Any:
        raw = self._whole(answer)
        try:
            return json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{self.address.text} does not answer as a server of cicdctl does") from error

    def _whole(self, answer: http.client.HTTPResponse) -> bytes:
        try:
            raw = self._read_all(answer)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._unreachable(error) from error
        if len(raw) > MOST_BYTES:
            self.close()
            raise StoreError(f"{self.address.text} answers with more than {MOST_BYTES // 2**20} MiB")
        return raw

    @staticmethod
    def _read_all(answer: http.client.HTTPResponse) -> bytes:
        """Read an answer to its end, or a byte more than it may have. Raises OSError for one that takes its time."""
        end = time.monotonic() + ANSWER_S
        # `read1` of Python 3.11 does not count what it has read.
        wanted = MOST_BYTES + 1 if answer.length is None else min(answer.length, MOST_BYTES + 1)
        raw = bytearray()
        while len(raw) < wanted:
            part = answer.read1(min(_PART_BYTES, wanted - len(raw)))
            if not part:
                break
            raw += part
            if time.monotonic() > end:
                raise TimeoutError(f"no whole answer within {ANSWER_S:.0f} s")
        if answer.length is not None and len(raw) < wanted:
            raise http.client.IncompleteRead(b"", wanted - len(raw))
        answer.close()
        return bytes(raw)

    def _refuse(self, answer: http.client.HTTPResponse) -> None:
        """Raise what the server says of a request that it does not carry out."""
        if answer.status < 300:
            return
        raw = self._whole(answer)
        try:
            told = json.loads(raw)["error"]
            code, message, hint = (str(told[name])[:_MOST_TEXT] for name in ("code", "message", "hint"))
        except (ValueError, KeyError, TypeError, RecursionError):
            where = answer.getheader("location") if answer.status < 400 else None
            hint = f"it sends elsewhere: {where}" if where else ""
            raise StoreError(f"{self.address.text} answers {answer.status}", hint=hint) from None
        raise _error_of(answer.status, code, message, hint)

    def _unreachable(self, error: Exception) -> Unreachable:
        if isinstance(error, ssl.SSLCertVerificationError):
            why = f"its certificate is not valid: {error.verify_message}"
        elif isinstance(error, socket.gaierror):
            why = f"there is no host {self.address.host}"
        else:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Unreachable(f"{self.address.text} does not answer: {why}", hint="cicdctl serve runs there?")


def _error_of(status: int, code: str, message: str, hint: str) -> CicdError:
    if status == 401:
        return UsageError(message, hint=f"{TOKEN_VARIABLE}=… names a token; cicdctl token create NAME makes one there")
    if code == "configuration":
        return ConfigError((message,), hint=hint)
    if code == "git":
        return GitError(message, hint=hint)
    if code == "paused":
        return Paused(message, hint=hint)
    if code == "no_such_run":
        return NotThere(message, hint=hint)
    # What cannot be done with a run as it is now, 409, is a wrong command here as well.
    if status in (403, 409) or code in ("usage", "body", "method", "no_such_stage", "no_such_pipeline"):
        return UsageError(message, hint=hint)
    return StoreError(message, hint=hint)


def _plain(told: Any) -> Any:
    """Return a document with what a terminal would obey made visible: names are checked here, but not there."""
    if isinstance(told, str):
        return told if told.isprintable() else _OBEYED.sub(lambda found: ascii(found[0])[1:-1], told)
    if isinstance(told, list):
        return [_plain(one) for one in told]
    if isinstance(told, dict):
        return {_plain(name): _plain(value) for name, value in told.items()}
    return told


def _with_query(path: str, query: Mapping[str, object] | None) -> str:
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, str, str]]:
    """Read `text/event-stream`, as https://html.spec.whatwg.org/multipage/server-sent-events.html has it."""
    mark, kind = "", "message"
    data: list[str] = []
    while raw := answer.readline(MOST_LINE_BYTES):
        if len(raw) == MOST_LINE_BYTES:
            raise StoreError("the server sends a line that has no end")
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data:
                yield mark, kind, "\n".join(data)
            kind, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            mark = value
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)
