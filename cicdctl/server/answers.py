"""Answers: JSON, and one shape of error with a code that never changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from cicdctl.errors import CicdError, ConfigError, GitError, Paused, StoreError, UsageError


class Refusal(Exception):
    """A request that is not carried out: HTTP `status`, a stable `code`, a sentence and what to do."""

    def __init__(
        self, status: int, code: str, message: str, *, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
        self.headers = dict(headers or {})


def refusal_of(error: CicdError) -> Refusal:
    """Return what an error of ours is over HTTP."""
    for kind, (status, code) in _STATUS.items():
        if isinstance(error, kind):
            headers = {"Retry-After": "5"} if status == 503 else {}
            return Refusal(status, code, error.message, hint=error.hint, headers=headers)
    return Refusal(500, "failed", error.message, hint=error.hint)


_STATUS: Mapping[type[CicdError], tuple[int, str]] = {
    UsageError: (422, "usage"),
    ConfigError: (422, "configuration"),
    GitError: (422, "git"),
    Paused: (409, "paused"),
    StoreError: (503, "store"),
}


def answer(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON document."""
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


def refuse(refusal: Refusal) -> Response:
    """Return a refusal as JSON: `{"error": {"code": …, "message": …, "hint": …}}`."""
    body = {"error": {"code": refusal.code, "message": refusal.message, "hint": refusal.hint}}
    return answer(body, status=refusal.status, headers=refusal.headers)
