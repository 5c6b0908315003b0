"""A service that is busy, broken, gone or unwilling: what is tried again, who is asked instead, and what is told."""

from __future__ import annotations

import re
import time

import pytest
from messages_api import Failure, text, tool

from cicdctl.fixers.claude.options import RetryOptions
from cicdctl.model.fixing import FixStatus

BROKEN = "def mean(values):\n    return sum(values) / len(values)\n"
FALLBACK = "claude-opus-5-5"


def waited(bench) -> float:
    return pytest.approx(sum(bench.waits))


def test_rate_limit_is_waited_for(bench):
    """4F: three seconds are waited, and then it goes on."""
    bench.api.fails(429, "rate_limit_error", headers={"retry-after": "3"})
    bench.repairs()
    assert bench.fix().status is FixStatus.CHANGED
    assert waited(bench) == 3.0
    assert any("429 rate_limit_error" in line and "again in 3 s" in line for line in bench.reports)


def test_milliseconds_and_dates(bench):
    """The finer header counts; a date in the past is no wait."""
    bench.api.fails(429, "rate_limit_error", headers={"retry-after-ms": "250", "retry-after": "9"})
    bench.api.fails(429, "rate_limit_error", headers={"retry-after": "Sat, 01 Jan 2022 00:00:00 GMT"})
    bench.repairs()
    assert bench.fix().status is FixStatus.CHANGED
    assert waited(bench) == 0.25


def test_long_rate_limit_is_not_waited_for(bench):
    """5F: a day is not waited; it is told until when."""
    bench.api.fails(429, "rate_limit_error", headers={"retry-after": "86400"})
    result = bench.fix()
    assert result.status is FixStatus.UNAVAILABLE
    assert re.search(r"429 rate_limit_error.*: not before \d{4}-\d\d-\d\d \d\d:\d\d \(in 86400 s\)", result.reason)
    assert result.retry_at is not None
    assert (bench.waits, len(bench.api.asked)) == ([], 1)


def test_wait_beyond_the_deadline(bench):
    """Nobody waits for what comes too late."""
    bench.api.fails(429, "rate_limit_error", headers={"retry-after": "50"})
    assert bench.fix(deadline=time.monotonic() + 20).status is FixStatus.UNAVAILABLE
    assert bench.waits == []


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (429, "rate_limit_error", "enforced_spend_limit_reached"),
        (429, "rate_limit_error", "contract_spend_limit_reached"),
        (429, "rate_limit_error", "linked_organization_spend_limit_reached"),
        (402, "billing_error", None),
    ],
)
def test_spend_limit(bench, status, kind, code):
    """6F: one request, and the fix is over for want of budget."""
    bench.api.fails(status, kind, code=code, headers={"retry-after": "1"})
    result = bench.fix()
    assert result.reason.startswith("budget: the service answered")
    assert (len(bench.api.asked), bench.waits, bench.spent) == (1, [], 0.0)


def test_overload_goes_to_the_fallback(bench, words):
    """7F: after four tries another model begins anew, on files as they were."""
    bench.api.says(words["thinking"](), words["repair"]())
    for _ in range(4):
        bench.api.fails(529, "overloaded_error")
    bench.repairs()
    result = bench.fix()
    assert result.status is FixStatus.CHANGED
    models = [one.model for one in bench.api.asked]
    assert models == ["claude-sonnet-5-5"] * 5 + [FALLBACK] * 3
    assert len(bench.api.asked[5].body["messages"]) == 1
    assert len(bench.api.asked[4].body["messages"]) == 3
    assert bench.read().count("if values else 0") == 1
    assert 5.2 <= sum(bench.waits) <= 7.01  # 1, 2 and 4 seconds, less jitter
    assert any("asking claude-opus-5-5 instead" in line for line in bench.reports)


def test_overload_of_both(bench):
    """The fallback is the last who is asked."""
    for _ in range(8):
        bench.api.fails(529, "overloaded_error")
    result = bench.fix()
    assert result.status is FixStatus.UNAVAILABLE
    assert result.reason.startswith("the service answered 529 overloaded_error, request req_")
    assert len(bench.api.asked) == 8


@pytest.mark.parametrize("how", ["error", "drop", "reset", "end"])
def test_broken_stream_is_tried_again(bench, words, how):
    """8F: whatever it broke in, nothing of it was done, and what was read of it is paid."""
    bench.api.breaks(how, text("so"), tool("create", path="new.py", content="x = 1\n"))
    bench.api.says(words["give_up"]())
    assert bench.fix().status is FixStatus.GAVE_UP
    assert not (bench.worktree / "new.py").exists()
    assert len(bench.api.asked) == 2
    assert bench.used[0].turns == 0
    assert bench.used[0].input_tokens == 1000
    assert bench.used[0].output_tokens >= 1
    assert len(bench.api.asked[1].body["messages"]) == 1


@pytest.mark.parametrize("how", ["rate_limit_error", "api_error"])
def test_other_errors_in_a_stream(bench, words, how):
    """They are tried again, too."""
    bench.api.breaks("error", text("so"), error_type=how, after=3)
    bench.api.says(words["give_up"]())
    assert bench.fix().status is FixStatus.GAVE_UP


def test_hanging_stream(bench, words):
    """A stream that says no more is given up after the time for one part, and asked again."""
    bench.options |= {"timeout_s": 0.3}
    bench.api.breaks("hang", text("so"), after=4)
    bench.api.says(words["give_up"]())
    assert bench.fix().status is FixStatus.GAVE_UP
    assert len(bench.api.asked) == 2


def test_refusal_goes_to_the_fallback(bench, words):
    """11F: once; the turn is dropped."""
    bench.api.refuses(text("I will not"))
    bench.repairs()
    assert bench.fix().status is FixStatus.CHANGED
    assert bench.api.asked[1].model == FALLBACK
    assert b"I will not" not in bench.api.asked[1].raw


def test_refusal_of_both(bench, words):
    """11F: the fallback is asked once; when it refuses too, nobody else is."""
    bench.api.refuses(text("I will not"))
    bench.api.refuses(text("nor I"), category="bio")
    result = bench.fix()
    assert (result.status, result.reason) == (FixStatus.REFUSED, f"{FALLBACK} refuses to work on this failure (bio)")
    assert [one.model for one in bench.api.asked] == ["claude-sonnet-5-5", FALLBACK]
    assert bench.api.remaining == 0


def test_refusal_of_all(bench, words):
    """12F: the files are as before, and nothing of what was said is shown."""
    bench.options["fallback_model"] = "claude-sonnet-5-5"
    bench.api.says(words["repair"]())
    bench.api.refuses(text("the secret plan is"), tool("create", path="new.py", content="x = 1\n"))
    result = bench.fix()
    assert (result.status, result.reason) == (
        FixStatus.REFUSED,
        "claude-sonnet-5-5 refuses to work on this failure (cyber)",
    )
    assert bench.read() == BROKEN
    assert not (bench.worktree / "new.py").exists()
    shown = [result.reason, result.summary, result.root_cause, result.suggestion, *bench.reports, *result.transcript]
    assert not [line for line in shown if "secret plan" in line or "new.py" in line]
    assert '"stop": "refusal"' in result.transcript[-1]


@pytest.mark.parametrize(
    "too_long",
    [
        Failure(413, "request_too_large"),
        Failure(400, "invalid_request_error", message="prompt is too long: 1000001 tokens > 1000000 maximum"),
    ],
)
def test_too_long(bench, words, too_long):
    """13F, 14F: half of the log and code is sent once more, then it is over."""
    bench.bundle["excerpt"] = "x = 1\n" * 3_900
    bench.api.will(too_long)
    bench.api.says(words["give_up"]())
    assert bench.fix().status is FixStatus.GAVE_UP
    first, second = (len(one.words()) for one in bench.api.asked)
    assert first > 23_000
    assert second < 0.6 * first

    bench._fixer = None
    bench.api.will(too_long, too_long)
    result = bench.fix()
    assert (result.status, result.reason) == (FixStatus.NO_CHANGE, "the failure is too long for the model")


def test_full_context(bench, words):
    """13F: a model that stops since its context is full is asked again with half, once."""
    bench.api.says(words["repair"]())
    bench.api.says(text("so"), stop="model_context_window_exceeded")
    bench.api.says(words["give_up"]())
    assert bench.fix().status is FixStatus.GAVE_UP
    assert len(bench.api.asked[2].body["messages"]) == 1
    assert bench.read() == BROKEN

    bench._fixer = None
    for _ in range(2):
        bench.api.says(words["repair"](), stop="model_context_window_exceeded")
    result = bench.fix()
    assert (result.status, result.reason) == (FixStatus.NO_CHANGE, "the failure is too long for the model")
    assert bench.read() == BROKEN


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Failure(401, "authentication_error"), "the service answered 401 authentication_error, request req_"),
        (Failure(403, "permission_error"), "the service answered 403 permission_error, request req_"),
        (Failure(400, "invalid_request_error"), "the service answered 400 invalid_request_error, request req_"),
        (Failure(500, headers={"x-should-retry": "false"}), "the service answered 500 api_error, request req_"),
        (Failure(307, headers={"location": "http://127.0.0.1:9/steal"}), "the service answered 307"),
    ],
)
def test_fatal_answers(bench, failure, reason):
    """15F: one request, and its number for whoever asks the support."""
    bench.api.will(failure)
    result = bench.fix()
    assert result.status is FixStatus.UNAVAILABLE
    assert result.reason.startswith(reason)
    assert (len(bench.api.asked), bench.waits, bench.spent) == (1, [], 0.0)


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504])
def test_passing_trouble(bench, words, status):
    """15F: tried again, and once it answers it goes on."""
    bench.api.fails(status)
    bench.api.says(words["give_up"]())
    assert bench.fix().status is FixStatus.GAVE_UP
    assert sum(bench.waits) > 0


@pytest.mark.parametrize("kind", ["reset", "close", "garbage", "html"])
def test_no_answer(bench, kind):
    """15F: four tries, and then the service is not to be had."""
    for _ in range(4):
        bench.api.faults(kind)
    result = bench.fix()
    assert result.status is FixStatus.UNAVAILABLE
    assert len(bench.api.asked) == 4
    assert "http://" not in result.reason


def test_service_that_hangs(bench):
    """15F: it is not waited for longer than for one part of a reply."""
    bench.options |= {"timeout_s": 0.2, "retry": RetryOptions(attempts=2)}
    for _ in range(2):
        bench.api.faults("hang")
    result = bench.fix()
    assert result.status is FixStatus.UNAVAILABLE
    assert result.reason.startswith("the service did not answer in time")


def test_unknown_model(bench, words):
    """15F: the fallback is asked once; when that is not there either, it is told which request said so."""
    bench.api.models = (FALLBACK,)
    bench.api.says(words["give_up"]())
    assert bench.fix().status is FixStatus.GAVE_UP
    bench._fixer, bench.api.models = None, ("other",)
    result = bench.fix()
    assert result.status is FixStatus.UNAVAILABLE
    assert "404 not_found_error, request req_" in result.reason


def test_bad_tool_json_is_asked_again(bench, words):
    """JSON that cannot be repaired makes the library raise: nothing was done, the turn is asked again."""
    bench.api.says(tool("create", raw='{"path": tru]'), stop="tool_use")
    bench.api.says(words["give_up"]())
    assert bench.fix().status is FixStatus.GAVE_UP
    assert len(bench.api.asked[1].body["messages"]) == 1


def test_hang_ends_with_the_time_of_the_fix(bench):
    """The engine leaves a fixer alone soon after its deadline: no part of a reply is waited for beyond it."""
    bench.api.breaks("hang", text("so"), after=4)
    bench.bundle["seconds"] = 0.0
    result = bench.fix(deadline=time.monotonic() + 0.4, bundle=bench.make_bundle())
    assert (result.status, result.reason) == (FixStatus.NO_CHANGE, "the time is up")
    assert len(bench.booked) == len(bench.used) == 1


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "SSL_CERT_FILE"])
def test_unfit_surroundings(bench, name):
    """A proxy of an unknown kind and certificates that are not there are told, and nothing is sent."""
    bench.environ |= {"ANTHROPIC_BASE_URL": "https://service.test", name: "gopher://nowhere"}
    result = bench.fix()
    assert result.status is FixStatus.UNAVAILABLE
    assert result.reason.startswith("the proxy or the certificates of the environment cannot be used")


def test_name_that_nobody_knows(bench):
    """DNS: tried again, then the service is not to be had."""
    bench.environ["ANTHROPIC_BASE_URL"] = "https://service.invalid"
    result = bench.fix()
    assert result.status is FixStatus.UNAVAILABLE
    assert result.reason == "the service cannot be reached (ConnectError)"
    assert len(bench.booked) == 4
