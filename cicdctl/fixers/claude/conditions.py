"""What a failed request means: try again, wait, ask somebody else, or stop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from cicdctl.model import Value
from cicdctl.model.fixing import FixStatus

Answer = Literal["retry", "wait", "overloaded", "no_model", "too_long", "budget", "fatal"]

_SPEND = frozenset({
    "enforced_spend_limit_reached", "contract_spend_limit_reached", "linked_organization_spend_limit_reached",
})  # fmt: skip
_AGAIN = frozenset({408, 409, 500, 502, 503, 504})


class Trouble(Value, frozen=True, kw_only=True):
    """A failed request. `wait_s` is how long the service wants us to wait, `billed` whether it may have cost."""

    answer: Answer
    text: str
    wait_s: float | None = None
    billed: bool = False


class Ending(Exception):
    """The attempt is over; `retry_at` is Unix seconds."""

    def __init__(
        self, status: FixStatus, reason: str, *, category: str = "", suggestion: str = "", retry_at: float | None = None
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.category = category
        self.suggestion = suggestion
        self.retry_at = retry_at


def status_trouble(error: Any) -> Trouble:
    """Judge an answer that is an error, by status, type and code; never by words, where there is anything else."""
    status, kind, code = error.status_code, error.type, error.error_code
    name = f"{status} {kind or 'error'}" + (f" ({code})" if code else "")
    text = f"the service answered {name}" + (f", request {error.request_id}" if error.request_id else "")
    wait_s = retry_after(error.response.headers)
    if status == 200:  # in the midst of a stream
        answer: Answer = "overloaded" if kind == "overloaded_error" else "retry"
        return Trouble(answer=answer, text=f"the service broke off: {kind or 'error'}", billed=True)
    if code in _SPEND or status == 402:
        return Trouble(answer="budget", text=f"{text}: the spending limit of the account is reached")
    if status == 413 or _is_too_long(error):
        return Trouble(answer="too_long", text=text)
    if status == 429:
        return Trouble(answer="wait" if wait_s is not None else "overloaded", text=text, wait_s=wait_s)
    if status == 529 or kind == "overloaded_error":
        return Trouble(answer="overloaded", text=text, wait_s=wait_s)
    if status == 404 and kind == "not_found_error":
        return Trouble(answer="no_model", text=text)
    says = error.response.headers.get("x-should-retry")
    if says != "false" and (says == "true" or status in _AGAIN or status > 504):
        return Trouble(answer="retry", text=text, wait_s=wait_s)
    return Trouble(answer="fatal", text=text)


def lost_trouble(error: BaseException, *, begun: bool) -> Trouble:
    """Judge a connection that failed, or a reply that was no reply."""
    words = {
        "APITimeoutError": "the service did not answer in time",
        "APIConnectionError": "the service cannot be reached",
        "ConnectError": "the service cannot be reached",
    }
    if begun:
        return Trouble(answer="retry", text=f"the reply was cut off ({type(error).__name__})", billed=True)
    cause = error.__cause__ if error.__cause__ is not None else error
    text = words.get(type(error).__name__, "the answer was no reply of the service")
    return Trouble(answer="retry", text=f"{text} ({type(cause).__name__})")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server wants us to wait, None when it does not say."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            return max(0.0, float(text) / unit)
        except ValueError:
            pass
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
        except (ValueError, TypeError, OverflowError):
            continue
    return None


def backoff_s(number: int, *, cap_s: float, jitter: float) -> float:
    """Return the pause after the failure with this number, from 1: 1, 2, 4 … seconds; `jitter` is 0 to 1."""
    return min(cap_s, 2.0 ** (number - 1)) * (0.75 + 0.25 * jitter)


def _is_too_long(error: Any) -> bool:
    # The one condition without a code of its own.
    return error.status_code == 400 and "prompt is too long" in (error.api_message or "").lower()
