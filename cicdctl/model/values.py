"""`Value`, the base of every frozen value: cheap to import, comparable, ready for JSON."""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A frozen value. msgspec and not dataclass: a class costs 25 µs to define instead of 680 µs."""
