"""The loopback Messages API, asked by the real client: what it sends is understood, what it refuses is refused."""

from __future__ import annotations

import json
import os
import time

import anthropic
import httpx2
import pytest
from messages_api import Reply, block, text, thinking, tool
from messages_api.fixture import messages_api  # noqa: F401
from messages_api.server import MessagesApi

HELLO = [{"role": "user", "content": "hello"}]
VIEW = {"name": "view", "input_schema": {"type": "object", "properties": {}}}


@pytest.fixture
def api(messages_api) -> MessagesApi:  # noqa: F811
    return messages_api


@pytest.fixture
def client(api):
    with httpx2.Client(trust_env=False, timeout=2.0) as http:
        yield anthropic.Anthropic(
            api_key="sk-test", base_url=api.url, max_retries=0, http_client=http, open_telemetry=False
        )


def ask(client, *, model="claude-sonnet-5-5", messages=HELLO, **more):
    with client.messages.stream(model=model, max_tokens=100, messages=messages, **more) as stream:
        events = list(stream)
        return stream.get_final_message(), events


def test_stream_is_what_was_scripted(api, client):
    """Thoughts, words and calls come in pieces, and are whole in the end."""
    api.says(
        thinking("hm"), text("I look"), tool("view", path="src/ä.py", start=3), usage={"cache_read_input_tokens": 7}
    )
    message, events = ask(client, tools=[VIEW])

    assert [one.type for one in message.content] == ["thinking", "text", "tool_use"]
    assert message.content[0].signature.startswith("sig")
    assert message.content[1].text == "I look"
    assert message.content[2].input == {"path": "src/ä.py", "start": 3}
    assert message.content[2].id.startswith("toolu_")
    assert (message.stop_reason, message.usage.cache_read_input_tokens) == ("tool_use", 7)
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    pieces = [delta.partial_json for delta in deltas if delta.type == "input_json_delta"]
    assert pieces[0] == ""
    assert len(pieces) > 5
    assert api.requests[0].headers["authorization"] == "Bearer sk-test"


def test_plain_json(api, client):
    """Without a stream the same message is one document."""
    api.says(text("hi"))
    message = client.messages.create(model="m", max_tokens=10, messages=HELLO)
    assert (message.content[0].text, message.stop_reason, message.usage.service_tier) == ("hi", "end_turn", "standard")
    assert message._request_id.startswith("req_")
    assert client.messages.count_tokens(model="m", messages=HELLO).input_tokens > 0
    assert "claude-opus-5-5" in [one.id for one in client.models.list()]
    assert client.models.retrieve("claude-opus-5-5").id == "claude-opus-5-5"


HEADERS = {"x-api-key": "sk-test", "anthropic-version": "2023-06-01"}
BODY = {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": HELLO}


@pytest.fixture
def plain(api):
    """No library between: what goes over the wire."""
    with httpx2.Client(trust_env=False, timeout=2.0, base_url=api.url) as http:
        yield http


def test_both_ways_to_send_a_key_and_the_version(api, plain):
    """A bearer token or x-api-key, anywhere; no other scheme; and never without a version."""

    def statuses(headers: dict[str, str]) -> list[int]:
        paths = ("/v1/messages", "/v1/messages/count_tokens")
        posted = [plain.post(path, json=BODY, headers=headers).status_code for path in paths]
        return [*posted, plain.get("/v1/models", headers=headers).status_code]

    for scheme in ({"x-api-key": "sk-test"}, {"authorization": "Bearer sk-test"}):
        api.says(text("hi"))
        assert statuses(scheme | {"anthropic-version": "2026-10-21"}) == [200] * 3
    assert api.violations == []
    for headers, status in (
        ({"anthropic-version": "2023-06-01"}, 401),
        ({"authorization": "Basic sk-test", "anthropic-version": "2023-06-01"}, 401),
        ({"x-api-key": "sk-test"}, 400),
        ({"x-api-key": "sk-test", "anthropic-version": "2020-01-01"}, 400),
    ):
        assert statuses(headers) == [status] * 3
    assert len(api.violations) == 6
    api.violations.clear()


def test_wire_of_a_message(api, plain):
    """Every field of the body, and the headers that say whose it is."""
    call = tool("view", path="a")
    api.says(text("hi"), call)
    answer = plain.post("/v1/messages", json=BODY, headers=HEADERS)
    body = answer.json()
    assert body == {
        "id": body["id"],
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": [
            {"type": "text", "text": "hi", "citations": None},
            {
                "type": "tool_use",
                "id": call.document["id"],
                "name": "view",
                "input": {"path": "a"},
                "caller": {"type": "direct"},
            },
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": {
            "input_tokens": 1000,
            "output_tokens": 100,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "service_tier": "standard",
        },
    }
    assert body["id"].startswith("msg_")
    assert answer.headers["request-id"].startswith("req_")
    assert answer.headers["anthropic-organization-id"]
    assert answer.headers["anthropic-workspace-id"]


def test_wire_of_a_stream(api, plain):
    """Chunks of named events in the service's order, JSON of tools cut anywhere, and the usage summed at the end."""
    api.says(thinking("hm"), tool("view", path="src/app.py"))
    answer = plain.post("/v1/messages", json=BODY | {"stream": True}, headers=HEADERS)
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers["content-type"].startswith("text/event-stream")
    names, events = [], []
    for part in answer.text.strip().split("\n\n"):
        name, data = part.split("\n")
        names.append(name.removeprefix("event: "))
        events.append(json.loads(data.removeprefix("data: ")))
    assert names == [event["type"] for event in events]
    squeezed = [name for at, name in enumerate(names) if at == 0 or name != names[at - 1]]
    block_of = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert squeezed == ["message_start", "ping", *block_of, *block_of, "message_delta", "message_stop"]
    assert events[0]["message"]["content"] == []
    assert events[0]["message"]["stop_reason"] is None
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert [one["type"] for one in deltas if one["type"] != "input_json_delta"] == [
        "thinking_delta",
        "thinking_delta",
        "signature_delta",
    ]
    pieces = [one["partial_json"] for one in deltas if one["type"] == "input_json_delta"]
    assert pieces[0] == ""
    assert json.loads("".join(pieces)) == {"path": "src/app.py"}
    assert any(piece.startswith('"') and not piece.endswith('"') for piece in pieces), "cut within a token"
    last = events[-2]
    assert last["delta"]["stop_reason"] == "tool_use"
    assert "stop_details" in last["delta"]
    assert last["usage"]["output_tokens"] == 100 > events[0]["message"]["usage"]["output_tokens"]


def test_wire_of_an_error(api, plain):
    """Type, code and request stand in the body, what to do in the headers; a gateway's error is a page."""
    headers = {"retry-after": "3", "retry-after-ms": "2500", "x-should-retry": "true"}
    api.fails(429, "rate_limit_error", code="enforced_spend_limit_reached", headers=headers)
    answer = plain.post("/v1/messages", json=BODY, headers=HEADERS)
    assert answer.json() == {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "message": "something is wrong",
            "details": {"error_code": "enforced_spend_limit_reached"},
        },
        "request_id": answer.headers["request-id"],
    }
    assert {name: answer.headers[name] for name in headers} == headers
    api.fails(502)
    answer = plain.post("/v1/messages", json=BODY, headers=HEADERS)
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")
    assert answer.text.startswith("<html>")


def test_stream_that_hangs(api, client):
    """What was said comes, and then nothing, until who waits gives up."""
    api.breaks("hang", text("half"), after=4)
    with pytest.raises(httpx2.TimeoutException):
        ask(client.with_options(timeout=0.2))


def test_an_answer_takes_milliseconds(api, plain):
    """A stream of small pieces does not wait for acknowledgements: 44 ms each time otherwise."""
    seconds = []
    for _ in range(10):
        api.says(text("hello there"))
        begun = time.monotonic()
        plain.post("/v1/messages", json=BODY | {"stream": True}, headers=HEADERS)
        seconds.append(time.monotonic() - begun)
    assert min(seconds[2:]) < 0.03  # the first two are quick in any case


@pytest.mark.usefixtures("api")
def test_the_client_finds_nothing_around_it():
    """No variable of its own, no profile, no proxy to loopback: a test sees what it has set itself."""
    assert not [name for name in os.environ if name.startswith("ANTHROPIC_")]
    assert os.listdir(os.environ["HOME"]) == []
    assert os.environ["NO_PROXY"] == "127.0.0.1"


def test_refusal(api, client):
    """It has its reason, and what was said before it."""
    api.refuses(text("I was about to"), category="bio")
    message, _ = ask(client)
    assert (message.stop_reason, message.stop_details.category) == ("refusal", "bio")


@pytest.mark.parametrize(
    ("status", "kind", "code", "error"),
    [
        (400, "invalid_request_error", None, "BadRequestError"),
        (401, "authentication_error", None, "AuthenticationError"),
        (402, "billing_error", None, "PaymentRequiredError"),
        (403, "permission_error", None, "PermissionDeniedError"),
        (404, "not_found_error", None, "NotFoundError"),
        (413, "request_too_large", None, "APIStatusError"),
        (429, "rate_limit_error", None, "RateLimitError"),
        (429, "rate_limit_error", "enforced_spend_limit_reached", "EnforcedSpendLimitReachedError"),
        (500, "api_error", None, "InternalServerError"),
        (502, "api_error", None, "InternalServerError"),
        (504, "timeout_error", None, "InternalServerError"),
        (529, "overloaded_error", None, "OverloadedError"),
    ],
)
def test_errors(api, client, status, kind, code, error):
    """Each status is the error that the library has for it, with type and code."""
    api.fails(status, kind, code=code, headers={"retry-after": "3"})
    with pytest.raises(anthropic.APIStatusError) as caught:
        ask(client)
    assert error in [one.__name__ for one in type(caught.value).__mro__]
    assert caught.value.status_code == status
    assert caught.value.request_id.startswith("req_")
    assert caught.value.response.headers["retry-after"] == "3"
    if status != 502:
        assert (caught.value.type, caught.value.error_code) == (kind, code)


def test_broken_streams(api, client):
    """In the midst of it: an error, an end without a word, a lost connection."""
    api.breaks("error", text("half"), after=4)
    with pytest.raises(anthropic.APIStatusError) as caught:
        ask(client)
    assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")
    api.breaks("end", text("half"), after=4)
    assert ask(client)[0].stop_reason is None
    for how in ("drop", "reset"):
        api.breaks(how, text("half"), after=4)
        with pytest.raises(httpx2.HTTPError) as lost:
            ask(client)
        assert not isinstance(lost.value, httpx2.TimeoutException)


def test_faults(api, client):
    """No answer, or one that is none."""
    for kind in ("reset", "close"):
        api.faults(kind)
        with pytest.raises(anthropic.APIConnectionError):
            ask(client)
    for kind in ("garbage", "html"):
        api.faults(kind)
        with pytest.raises((AssertionError, ValueError, anthropic.AnthropicError, AttributeError)):
            ask(client)
    api.faults("hang")
    with pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=0.2).messages.create(model="m", max_tokens=1, messages=HELLO)


def test_cut_json_of_a_tool(api, client):
    """The library repairs what was not closed: who asks has to look at the pieces."""
    api.says(tool("view", raw='{"path": "a", "n": 1'), stop="tool_use")
    message, _ = ask(client, tools=[VIEW])
    assert message.content[0].input == {"path": "a", "n": 1}


def test_unknown_kinds(api, client):
    """Blocks and stop reasons of later years come through."""
    api.says(block(type="hologram", depth=3), text("x"), stop="tired")
    message, _ = ask(client)
    assert (message.content[0].type, message.stop_reason) == ("hologram", "tired")


CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "view", "input": {}}]}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}
MARKED = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"extra_body": {"temperature": 1}}, "temperature: extra inputs"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking.type"),
        ({"messages": [*HELLO, CALL, *HELLO]}, "tool_use id without tool_result"),
        ({"messages": [*HELLO, CALL]}, "prefill"),
        ({"messages": [{"role": "user", "content": [RESULT]}]}, "tool_result without tool_use"),
        (
            {"messages": [*HELLO, CALL, {"role": "user", "content": [{"type": "text", "text": "x"}, RESULT]}]},
            "must come first",
        ),
        ({"messages": [*HELLO, {"role": "assistant", "content": "so"}]}, "prefill"),
        ({"messages": [{"role": "user", "content": " \n"}]}, "non-whitespace"),
        ({"messages": [{"role": "user", "content": [MARKED] * 5}]}, "a maximum of 4"),
        ({"tools": [VIEW, VIEW]}, "must be unique"),
        ({"tools": [{"type": "bash_20250124", "name": "shell"}]}, "may not be called"),
        (
            {
                "messages": [
                    *HELLO,
                    {"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": "made up"}]},
                    *HELLO,
                ]
            },
            "invalid `signature`",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*thinking")
def test_strict(api, client, more, problem):
    """What the service would not take is refused, and noted."""
    with pytest.raises(anthropic.BadRequestError) as caught:
        ask(client, **{"messages": HELLO, **more})
    assert problem in caught.value.api_message
    assert api.violations
    api.violations.clear()


def test_keys_models_and_the_end_of_the_script(api, client):
    """A foreign key, an unknown model, and a question too many."""
    api.key = "other"
    with pytest.raises(anthropic.AuthenticationError):
        ask(client)
    api.key, api.models = None, ("claude-opus-5-5",)
    with pytest.raises(anthropic.NotFoundError):
        ask(client)
    with pytest.raises(anthropic.InternalServerError) as caught:
        ask(client, model="claude-opus-5-5")
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_scripts_may_look_at_the_request(api, client):
    """A function is given what was sent, and says the answer."""
    api.will(lambda request: Reply((text(f"you said {request.body['messages'][0]['content']}"),)))
    assert ask(client)[0].content[0].text == "you said hello"
    assert api.remaining == 0
