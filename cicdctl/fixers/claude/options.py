"""The options of `[fixers.claude]`."""

from __future__ import annotations

from typing import Literal

from cicdctl.model import Value


class RetryOptions(Value, frozen=True, kw_only=True):
    """What happens after a failed request: tries per turn, and pauses in seconds."""

    attempts: int = 4
    cap: float = 20.0
    max_retry_after: float = 60.0


class ClaudeOptions(Value, frozen=True, kw_only=True):
    """What the user may write; durations are seconds. Models that are None are those of models.toml.

    `timeout_s` is the section's `timeout`: the limit of one try. No part of a reply is waited for longer either.
    """

    model: str | None = None
    last_attempt_model: str | None = None
    fallback_model: str | None = None
    effort: Literal["low", "medium", "high", "max"] = "medium"
    max_tokens: int = 16_000
    timeout_s: float | None = None
    connect_timeout: float = 5.0
    retry: RetryOptions = RetryOptions()
    api_key_env: str = "ANTHROPIC_API_KEY"
    base_url: str | None = None
    tools: str = "edit"
    max_cost_usd: float = 1.0
    daily_cost_usd: float = 10.0
    max_turns: int = 30
    max_checks: int = 6
    log_chars: int = 24_000
    code_chars: int = 16_000
    on_unknown: bool = False
    instructions_file: str | None = None
    transcript: Literal["none", "redacted"] = "redacted"
