"""Values as JSON documents in columns, and back."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from cicdctl.errors import StoreError

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_DECODERS: dict[type, msgspec.json.Decoder[Any]] = {}


def encode(value: Any) -> str:
    """Give the JSON of a value. Text that is no Unicode (half a surrogate pair) gets `?` in its place."""
    try:
        return _encoder.encode(value).decode()
    except UnicodeEncodeError:
        return _encoder.encode(_scrub(msgspec.to_builtins(value))).decode()


def clean(text: str) -> str:
    """Give `text` with `?` for what no database or terminal can hold: halves of surrogate pairs."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _scrub(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(name): _scrub(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrub(item) for item in value]
    return value


def decode(document: str, kind: type[T], *, what: str) -> T:
    """Read a value from its JSON; `what` names the record in the StoreError when it cannot be read."""
    try:
        decoder = _DECODERS.get(kind)
        if decoder is None:
            decoder = _DECODERS[kind] = msgspec.json.Decoder(kind)
        value: T = decoder.decode(document)
        return value
    except (msgspec.DecodeError, UnicodeError) as error:
        raise StoreError(
            f"the record of {what} cannot be read: {error}",
            hint="it was written by a newer cicdctl, or damaged; `cicdctl doctor` checks the state",
        ) from error
