"""Refuses what the service refuses, so that a request it would not take never goes unnoticed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

KNOWN = frozenset({
    "model", "max_tokens", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control",
    "stream", "metadata", "stop_sequences", "service_tier", "container", "context_management", "inference_geo",
    "speed", "diagnostics",
})  # fmt: skip
MOST_MARKS = 4
# Names of built-in tools belong to their types.
BUILT_IN = {
    "str_replace_based_edit_tool": "text_editor_",
    "bash": "bash_",
    "memory": "memory_",
    "web_search": "web_search_",
    "web_fetch": "web_fetch_",
    "code_execution": "code_execution_",
}


def violations(body: Mapping[str, Any], signatures: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return what is wrong with a request. `signatures` are those given out: to the model and the thought."""
    found = [f"{name}: extra inputs are not permitted" for name in body if name not in KNOWN]
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            found.append(f"{name}: field required")
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled":
        found.append("thinking.type: enabled is not supported by this model")
    if _marks(body) > MOST_MARKS:
        found.append(f"a maximum of {MOST_MARKS} blocks with cache_control may be provided")
    found += _tools(body.get("tools") or ())
    found += _messages(body.get("messages") or ())
    found += _signatures(body, signatures)
    return found


def _tools(tools: Any) -> Iterator[str]:
    names = [one.get("name") for one in tools]
    for name in {name for name in names if names.count(name) > 1}:
        yield f"tools: tool names must be unique: {name}"
    for one in tools:
        kind = one.get("type", "custom")
        if kind != "custom" and not kind.startswith(BUILT_IN.get(one.get("name"), "?")):
            yield f"tools: {kind} may not be called {one.get('name')}"
        if kind == "custom" and one.get("input_schema", {}).get("type") != "object":
            yield f"tools: {one.get('name')}: input_schema must be an object"


BLOCKS = {
    "text": {"type", "text", "cache_control", "citations"},
    "thinking": {"type", "thinking", "signature"},
    "tool_use": {"type", "id", "name", "input", "cache_control", "caller"},
    "tool_result": {"type", "tool_use_id", "content", "is_error", "cache_control"},
}


def _messages(messages: Any) -> Iterator[str]:
    if not messages or messages[0].get("role") != "user":
        yield "messages: first message must use the user role"
    if messages and messages[-1].get("role") != "user":
        yield "messages: this model does not support assistant message prefill"
    waiting: list[str] = []
    for number, message in enumerate(messages):
        blocks = _blocks(message.get("content"))
        if not blocks:
            yield f"messages.{number}: content must not be empty"
        for one in blocks:
            for name in set(one) - BLOCKS.get(one.get("type"), set(one)):
                yield f"messages.{number}: {one['type']}.{name}: extra inputs are not permitted"
            if one.get("type") == "text" and not one.get("text", "").strip():
                yield f"messages.{number}: text content blocks must contain non-whitespace text"
        if message.get("role") == "assistant":
            if waiting:
                yield f"messages.{number}: tool_use ids without tool_result: {waiting}"
            waiting = [one["id"] for one in blocks if one.get("type") == "tool_use"]
            continue
        results = [one["tool_use_id"] for one in blocks if one.get("type") == "tool_result"]
        for lost in sorted(set(waiting) - set(results)):
            yield f"messages.{number}: tool_use id without tool_result: {lost}"
        for foreign in sorted(set(results) - set(waiting)):
            yield f"messages.{number}: tool_result without tool_use: {foreign}"
        kinds = [one.get("type") for one in blocks]
        if "tool_result" in kinds and kinds[: len(results)] != ["tool_result"] * len(results):
            yield f"messages.{number}: tool_result blocks must come first"
        waiting = []
    if waiting:
        yield f"messages: tool_use ids without tool_result: {waiting}"


def _signatures(body: Mapping[str, Any], known: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    for message in body.get("messages") or ():
        for one in _blocks(message.get("content")):
            if one.get("type") != "thinking":
                continue
            if known.get(one.get("signature", "")) != (body.get("model"), one.get("thinking")):
                yield "messages: invalid `signature` in `thinking` block"


def _marks(body: Mapping[str, Any]) -> int:
    """Count the marks, the one on top level too."""
    count = 1 if body.get("cache_control") else 0
    places = [*_blocks(body.get("system")), *(body.get("tools") or ())]
    for message in body.get("messages") or ():
        places += _blocks(message.get("content"))
    return count + sum(1 for one in places if one.get("cache_control"))


def _blocks(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(content or ())
