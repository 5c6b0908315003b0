"""The server: one thread per connection, a queue of scripted answers, and everything it was sent."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from messages_api.blocks import Block
from messages_api.replies import Answer, Breakage, Failure, Fault, FaultKind, Reply, Script
from messages_api.strict import violations

VERSIONS = ("2023-06-01", "2026-10-21")
MODELS = ("claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5", "claude-fable-5-1")


@dataclass(frozen=True)
class Recorded:
    """One request, byte for byte; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The document that was sent."""
        return json.loads(self.raw or b"{}")

    @property
    def model(self) -> str:
        """The model that was asked."""
        return str(self.body.get("model"))

    def results(self) -> list[dict[str, Any]]:
        """The tool results of the last message."""
        content = self.body["messages"][-1]["content"]
        return [] if isinstance(content, str) else [one for one in content if one["type"] == "tool_result"]

    def result(self, number: int = 0) -> str:
        """The text of one of them."""
        content = self.results()[number]["content"]
        return content if isinstance(content, str) else "".join(one.get("text", "") for one in content)

    def words(self) -> str:
        """Everything of the last message that is text."""
        content = self.body["messages"][-1]["content"]
        return content if isinstance(content, str) else "\n".join(one.get("text", "") for one in content)


class MessagesApi:
    """A Messages API on 127.0.0.1; close it, or use it with `with`."""

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self.violations: list[str] = []
        self.signatures: dict[str, tuple[str, str]] = {}
        self.key: str | None = None  # when set, the only one that is accepted
        self.models: tuple[str, ...] | None = None  # when set, the only ones that there are
        self._script: deque[Script] = deque()
        self._count = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> MessagesApi:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of whoever still waits, and end."""
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def reset(self) -> None:
        """Forget script and record, between two tests that share it."""
        self.requests.clear()
        self.violations.clear()
        self.signatures.clear()
        self._script.clear()
        self.key = self.models = None

    @property
    def url(self) -> str:
        """What to set as base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def remaining(self) -> int:
        """How many scripted answers nobody has asked for."""
        return len(self._script)

    @property
    def asked(self) -> list[Recorded]:
        """The requests for a message, in order."""
        return [one for one in self.requests if one.method == "POST" and one.path.partition("?")[0] == "/v1/messages"]

    def will(self, *answers: Script) -> None:
        """Script what is answered next, in this order. A function is given the request."""
        self._script.extend(answers)

    def says(self, *content: Block, stop: str | None = None, **more: Any) -> None:
        """Script a message."""
        self.will(Reply(content, stop=stop, **more))

    def fails(self, status: int, kind: str = "api_error", **more: Any) -> None:
        """Script an error."""
        self.will(Failure(status, kind, **more))

    def breaks(self, how: Breakage, *content: Block, **more: Any) -> None:
        """Script a message whose stream does not come to its end."""
        self.will(Reply(content, breaks=how, **more))

    def faults(self, kind: FaultKind) -> None:
        """Script no proper answer at all."""
        self.will(Fault(kind))

    def refuses(self, *content: Block, category: str | None = "cyber", **more: Any) -> None:
        """Script a refusal, with what was said before it."""
        details = {"type": "refusal", "category": category, "explanation": "not this"}
        self.will(Reply(content, stop="refusal", stop_details=details, **more))

    def record(self, request: Recorded) -> int:
        """Keep a request, and return its number."""
        with self._lock:
            self.requests.append(request)
            self._count += 1
            return self._count

    def answer(self, request: Recorded) -> tuple[int, Answer]:
        """Return the number of a request and what it is answered."""
        number = self.record(request)
        with self._lock:
            refused = self.refuse_headers(request.headers) or self._refuse(request)
            if refused is not None:
                return number, refused
            if not self._script:
                message = "the script is used up"
                return number, Failure(500, message=message, headers={"x-should-retry": "false"})
            script = self._script.popleft()
            answer = script(request) if callable(script) else script
            if isinstance(answer, Reply):
                for one in answer.content:
                    if one.document["type"] == "thinking":
                        known = (request.model, one.document["thinking"])
                        self.signatures[one.document["signature"]] = known
            return number, answer

    def refuse_headers(self, headers: Mapping[str, str]) -> Failure | None:
        """Return the error for a request without a key or a version, whatever it asks for."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = (token.strip() if scheme == "Bearer" else "") or headers.get("x-api-key", "")
        if not key or (self.key is not None and key != self.key):
            return Failure(401, "authentication_error", "invalid bearer token")
        if headers.get("anthropic-version") not in VERSIONS:
            self.violations.append("anthropic-version: header is required")
            return Failure(400, "invalid_request_error", "anthropic-version: header is required")
        return None

    def _refuse(self, request: Recorded) -> Failure | None:
        found = violations(request.body, self.signatures)
        if found:
            self.violations += found
            return Failure(400, "invalid_request_error", "; ".join(found))
        if self.models is not None and request.model not in self.models:
            return Failure(404, "not_found_error", f"model: {request.model}")
        return None

    def wait_for_close(self) -> None:
        """Hold a connection open until the server ends."""
        self._closed.wait()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True

    def __init__(self, api: MessagesApi) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api

    def handle_error(self, request: Any, address: Any) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # 44 ms a request otherwise
    timeout = 10
    wbufsize = 0
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        number, refused = self._record(b"")
        path, _, _ = self.path.partition("?")
        rows = {
            f"/v1/models/{name}": {
                "id": name,
                "type": "model",
                "display_name": name,
                "created_at": "2026-10-21T00:00:00Z",
            }
            for name in MODELS
        }
        if refused is not None:
            return self._fail(number, refused)
        if path == "/v1/models":
            listed = {"data": list(rows.values()), "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}
            return self._json(200, listed, number=number)
        if path in rows:
            return self._json(200, rows[path], number=number)
        self._fail(number, Failure(404, "not_found_error", f"no such path: {path}"))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        path, _, _ = self.path.partition("?")
        if path != "/v1/messages":
            number, refused = self._record(raw)
            if refused is None and path == "/v1/messages/count_tokens":
                return self._json(200, {"input_tokens": max(1, len(raw) * 2 // 7)}, number=number)
            return self._fail(number, refused or Failure(404, "not_found_error", f"no such path: {path}"))
        recorded = Recorded("POST", self.path, self._headers(), raw)
        number, answer = self.server.api.answer(recorded)
        if isinstance(answer, Failure):
            self._fail(number, answer)
        elif isinstance(answer, Fault):
            self._fault(answer)
        elif recorded.body.get("stream"):
            self._stream(number, answer, recorded.model)
        else:
            self._json(200, answer.message(number, recorded.model), number=number, headers=answer.headers)

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _record(self, raw: bytes) -> tuple[int, Failure | None]:
        """Keep a request that is for no message; return its number, and why it is refused."""
        headers = self._headers()
        number = self.server.api.record(Recorded(self.command, self.path, headers, raw))
        return number, self.server.api.refuse_headers(headers)

    def _begin(self, status: int, number: int, kind: str, headers: Mapping[str, str], length: int | None) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("request-id", f"req_{number:024}")
        self.send_header("anthropic-organization-id", "00000000-0000-4000-8000-000000000001")
        self.send_header("anthropic-workspace-id", "wrkspc_01")
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("connection", "close")
        if length is None:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(length))
        self.end_headers()

    def _json(self, status: int, document: Any, *, number: int, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(document).encode()
        self._begin(status, number, "application/json", headers or {}, len(body))
        self.wfile.write(body)

    def _fail(self, number: int, failure: Failure) -> None:
        kind, body = failure.body(f"req_{number:024}")
        self._begin(failure.status, number, kind, failure.headers, len(body))
        self.wfile.write(body)

    def _fault(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.kind == "reset":
            self._reset()
        elif fault.kind == "hang":
            self.server.api.wait_for_close()
        elif fault.kind in ("garbage", "html"):
            body = b"\x00\xff{{not json" if fault.kind == "garbage" else b"<html>a portal</html>"
            kind = "application/json" if fault.kind == "garbage" else "text/html"
            self._begin(200, 0, kind, {}, len(body))
            self.wfile.write(body)

    def _stream(self, number: int, reply: Reply, model: str) -> None:
        self._begin(200, number, "text/event-stream; charset=utf-8", reply.headers, None)
        events = list(reply.events(number, model))
        if reply.breaks is None:
            for event in events:
                self._send(event)
            self._chunk(b"")
            return
        after = len(events) - 2 if reply.after is None else reply.after
        for event in events[:after]:
            self._send(event)
        self.close_connection = True
        if reply.breaks == "error":
            error = {"type": reply.error_type, "message": "in the midst of it", "details": None}
            self._send({"type": "error", "error": error, "request_id": f"req_{number:024}"})
            self._chunk(b"")
        elif reply.breaks == "end":
            self._chunk(b"")
        elif reply.breaks == "reset":
            time.sleep(0.1)  # a reset takes away what the other side has not read yet, the headers too
            self._reset()
        elif reply.breaks == "hang":
            self.server.api.wait_for_close()

    def _send(self, event: Mapping[str, Any]) -> None:
        data = json.dumps(event, ensure_ascii=False)
        self._chunk(f"event: {event['type']}\ndata: {data}\n\n".encode())

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _reset(self) -> None:
        """End the connection the hard way: the other side sees a reset and not an end."""
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
