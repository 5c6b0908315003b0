"""Whether a delivery is from who it says: one way for each forge, over the raw bytes, in constant time.

Headers and what they cover: docs.github.com/webhooks, docs.gitlab.com/user/project/integrations/webhooks,
standardwebhooks.com, forgejo.org/docs, support.atlassian.com/bitbucket-cloud, man.sr.ht/graphql.md.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from cicdctl.config.webhook_secrets import LEAST_BYTES, SIGNING_PREFIX, SOURCEHUT, signing_key
from cicdctl.server.webhooks.sourcehut import prove_sourcehut

# https://github.com/standard-webhooks/standard-webhooks: the tolerance of its libraries.
TOLERANCE_S = 300.0

Headers = Mapping[str, Sequence[bytes]]  # by lower-case name, every value in order
Proof = Callable[[bytes, Headers, Sequence[bytes]], bool]


def prove(forge: str, body: bytes, headers: Headers, secrets: Sequence[bytes]) -> bool:
    """Say whether one of the secrets made this delivery. `secrets` are two while they are changed.

    A forge that nobody knows takes as long as GitHub. Never raises, however malformed it is.
    """
    usable = [secret for secret in secrets if len(secret) >= LEAST_BYTES]
    is_proved = PROOFS.get(forge, PROOFS["github"])(body, headers, usable)
    return is_proved and forge in PROOFS


def _one(headers: Headers, name: str) -> bytes | None:
    """Return a header's value when it is there exactly once."""
    values = headers.get(name, ())
    return values[0] if len(values) == 1 else None


def _any_equal(given: bytes, wanted: Iterable[bytes]) -> bool:
    """Compare with all of them, in the same time whichever it is."""
    found = False
    for one in wanted:
        found = hmac.compare_digest(given, one) or found
    return found


def _digests(body: bytes, secrets: Sequence[bytes]) -> list[bytes]:
    return [hmac.new(secret, body, hashlib.sha256).hexdigest().encode() for secret in secrets]


def _signed(header: str, prefix: bytes = b"") -> Proof:
    """Lower-case hex of HMAC-SHA256 in this header, after `prefix`. sha1 proves nothing any more."""

    def proof(body: bytes, headers: Headers, secrets: Sequence[bytes]) -> bool:
        given = _one(headers, header) or b""
        return _any_equal(given, [prefix + digest for digest in _digests(body, secrets)])

    return proof


def _gitlab(body: bytes, headers: Headers, secrets: Sequence[bytes]) -> bool:
    """Signed as Standard Webhooks where the header is there; else the token in clear, which does not cover the body.

    A signing token is never taken in clear: whoever saw one delivery could make others.
    """
    if "webhook-signature" in headers:
        return _standard(body, headers, [key for key in map(signing_key, secrets) if key is not None])
    tokens = [secret for secret in secrets if not secret.startswith(SIGNING_PREFIX.encode())]
    given = _one(headers, "x-gitlab-token") or b""
    # Digests are of one length, whatever the tokens' is.
    return _any_equal(hashlib.sha256(given).digest(), [hashlib.sha256(token).digest() for token in tokens])


def _standard(body: bytes, headers: Headers, keys: Sequence[bytes]) -> bool:
    given, identity, stamp = (_one(headers, f"webhook-{name}") or b"" for name in ("signature", "id", "timestamp"))
    signed = b".".join((identity, stamp, body))
    wanted = [b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()) for key in keys]
    found = False
    for one in given.split(b" ")[:10]:
        found = _any_equal(one, wanted) or found
    is_fresh = stamp.isdigit() and len(stamp) <= 12 and abs(time.time() - int(stamp)) <= TOLERANCE_S
    return found and is_fresh and identity != b""


PROOFS: Mapping[str, Proof] = {
    "github": _signed("x-hub-signature-256", b"sha256="),
    "gitlab": _gitlab,
    "gitea": _signed("x-gitea-signature"),
    "forgejo": _signed("x-forgejo-signature"),
    "gogs": _signed("x-gogs-signature"),
    # The header in which GitHub sends a sha1.
    "bitbucket": _signed("x-hub-signature", b"sha256="),
    "bitbucket-dc": _signed("x-hub-signature", b"sha256="),
    SOURCEHUT: prove_sourcehut,
}
