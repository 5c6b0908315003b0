"""The secrets that deliveries of forges are proved with: whose they are, and whether they are any good."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping

from cicdctl.config.rules import FORGES
from cicdctl.config.settings import Settings
from cicdctl.errors import ConfigError

LEAST_BYTES = 16
MOST_SECRETS = 2  # the old and the new one, while it is changed
SIGNING_PREFIX = "whsec_"
# The instance's public key, which is 32 bytes: the one forge whose "secret" is none.
SOURCEHUT = "sourcehut"
# Only the server wants it: whoever logs in to look at runs has not what its environment holds.
COMMON_SECRET = ("orchestrator", "monitoring", "secret")
_HINT = 'a good one: python3 -c "import secrets; print(secrets.token_urlsafe(32))"'


def webhook_secrets(settings: Settings) -> Mapping[str, tuple[bytes, ...]]:
    """Return the secrets by forge, one or two each; those without any are left out, their deliveries are refused.

    Raises ConfigError that names each key whose value protects nothing.
    """
    found: dict[str, tuple[bytes, ...]] = {}
    problems: list[str] = []
    common = settings.orchestrator.monitoring.secret
    if common is not None:
        problems += _faults("orchestrator.monitoring.secret", (common,))
    for forge in FORGES:
        own = settings.server.webhooks.get(forge, ())
        problems += _faults(f"server.webhooks.{forge}", own, is_key=forge == SOURCEHUT)
        secrets = own or ((common,) if common is not None and forge != SOURCEHUT else ())
        if secrets:
            found[forge] = tuple(secret.encode() for secret in secrets)
    if problems:
        raise ConfigError(tuple(problems), hint=_HINT)
    return found


def signing_key(secret: bytes) -> bytes | None:
    """Return the key in a signing token of Standard Webhooks, `whsec_<base64>`; None for any other secret."""
    prefix = SIGNING_PREFIX.encode()
    if not secret.startswith(prefix):
        return None
    try:
        return base64.b64decode(secret[len(prefix) :], validate=True)
    except (binascii.Error, ValueError):
        return None


def _faults(where: str, secrets: tuple[str, ...], *, is_key: bool = False) -> Iterator[str]:
    if len(secrets) > MOST_SECRETS:
        yield f"{where}: {MOST_SECRETS} at once are enough to change one, not {len(secrets)}"
    for secret in secrets:
        data = secret.encode()
        if is_key:
            if _decoded_size(data) != 32:
                yield f"{where}: must be the public key of the instance, 32 bytes in base64"
            continue
        if secret.startswith(SIGNING_PREFIX):
            key = signing_key(data)
            if key is None:
                yield f'{where}: what comes after "{SIGNING_PREFIX}" is not base64'
                continue
            data = key
        if len(data) < LEAST_BYTES:
            yield f"{where}: a secret of {len(data)} bytes protects nothing; it needs at least {LEAST_BYTES}"


def _decoded_size(data: bytes) -> int:
    try:
        return len(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        return 0
