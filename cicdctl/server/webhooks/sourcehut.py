"""sourcehut: signed with the key of the instance, so any of its users can have something signed for any address.

Therefore our address ends in a random part, and a delivery is still only a hint.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from cicdctl.errors import NotAvailable, StoreError

FILE = "webhook-sourcehut"


def require_sourcehut() -> None:
    """Raise NotAvailable when the library that checks its signatures is not installed."""
    try:
        import cryptography  # noqa: F401
    except ModuleNotFoundError as error:
        hint = "pip install 'cicdctl[sourcehut]'"
        raise NotAvailable("webhooks of sourcehut without cryptography", hint=hint) from error


def prove_sourcehut(body: bytes, headers: Mapping[str, Sequence[bytes]], keys: Sequence[bytes]) -> bool:
    """Say whether one of the public keys, in base64, verifies body and nonce. Never raises."""
    given, nonces = headers.get("x-payload-signature", ()), headers.get("x-payload-nonce", ())
    if len(given) != 1 or len(nonces) != 1:
        return False
    try:
        signature = base64.b64decode(given[0], validate=True)
    except (binascii.Error, ValueError):
        return False
    found = False
    for key in keys:
        found = _verifies(key, signature, body + nonces[0]) or found
    return found


def _verifies(key: bytes, signature: bytes, signed: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ModuleNotFoundError:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def address_part(state_folder: Path) -> str:
    """Return the random end of our address for sourcehut, made and kept at the first time. Raises StoreError."""
    path = state_folder / FILE
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        hint = "remove it, and tell sourcehut the new address"
        raise StoreError(f'cannot read "{path}": {error}', hint=hint) from error
    aside = path.with_name(f"{FILE}.{os.urandom(8).hex()}")
    try:
        with os.fdopen(os.open(aside, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise StoreError(f'cannot write "{path}": {error.strerror}', hint="check owner and mode") from error
    return path.read_text("ascii").strip()


def is_ours(given: str, ours: str) -> bool:
    """Compare the end of an address with ours, in the same time whatever it is."""
    digests = [hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (given, ours)]
    return hmac.compare_digest(*digests)
