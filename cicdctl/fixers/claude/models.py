"""Which model is asked, and what it costs: a dated table that the operator may replace."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import msgspec

from cicdctl.errors import ConfigError
from cicdctl.fixers.claude.options import ClaudeOptions
from cicdctl.model import Value
from cicdctl.model.fixing import FixUsage

CHARS_PER_TOKEN = 3.5
FILE = "models.toml"


class Price(Value, frozen=True, kw_only=True):
    """US dollars per million tokens. `adaptive`: the model takes adaptive thinking and an effort."""

    input: float
    output: float
    cache_write: float
    cache_read: float
    adaptive: bool = True

    def cost(self, usage: FixUsage) -> float:
        """Return what a call has cost, estimated."""
        spent = (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_write_tokens * self.cache_write
            + usage.cache_read_tokens * self.cache_read
        )
        return spent / 1e6

    def most(self, chars: int, max_tokens: int) -> float:
        """Return the most that a call with so many characters may cost."""
        return (chars / CHARS_PER_TOKEN * max(self.input, self.cache_write) + max_tokens * self.output) / 1e6


class Models(Value, frozen=True, kw_only=True):
    """The table, and who is asked by default."""

    dated: str
    attempt: str
    last_attempt: str
    fallback: str
    models: Mapping[str, Price]

    def price(self, model: str) -> Price:
        """Return the price of a model; of one that nobody knows, the highest there is.

        Gateways put a vendor before a name, and releases a date behind it.
        """
        known = [name for name in self.models if name in model]
        if known:
            return self.models[max(known, key=len)]
        return max(self.models.values(), key=lambda price: price.output)

    def choose(self, options: ClaudeOptions, *, is_last: bool) -> tuple[str, str | None]:
        """Return who is asked, and who instead when that one is not to be had: None when there is nobody."""
        model = options.model or self.attempt
        if is_last:
            # A model that was asked for by name stays, unless the last attempt has its own.
            model = options.last_attempt_model or (model if options.model else self.last_attempt)
        fallback = options.fallback_model or self.fallback
        return model, fallback if fallback != model else None


class _Extra(Value, frozen=True, kw_only=True):
    dated: str | None = None
    attempt: str | None = None
    last_attempt: str | None = None
    fallback: str | None = None
    models: Mapping[str, Price] = {}


def load_models(folder: Path | None) -> Models:
    """Read the packaged table, and the operator's over it. Raises ConfigError when that one makes no sense."""
    packaged = files("cicdctl.fixers.claude").joinpath(FILE).read_bytes()
    table = msgspec.toml.decode(packaged, type=Models)
    if folder is None or not (folder / FILE).is_file():
        return table
    try:
        extra = msgspec.toml.decode((folder / FILE).read_bytes(), type=_Extra)
    except (OSError, ValueError) as error:
        raise ConfigError((f"{folder / FILE}: {error}",)) from error
    given = {
        name: value
        for name in ("dated", "attempt", "last_attempt", "fallback")
        if (value := getattr(extra, name)) is not None
    }
    return msgspec.structs.replace(table, **given, models={**table.models, **extra.models})
