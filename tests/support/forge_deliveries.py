"""Deliveries as forges send them, of our own making: 21 kinds, signed with a secret that is given."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

SECRET = b"0123456789abcdef0123456789abcdef"
SIGNING = b"whsec_" + base64.b64encode(b"fedcba9876543210fedcba9876543210")
OLD, NEW = "1" * 40, "2" * 40
ZERO = "0" * 40
MAIN, TAG = "refs/heads/main", "refs/tags/v1"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Sent:
    """A request to `/webhook/<forge>`; `signs` are the headers that prove it. `refs`, `ignored`: what it says."""

    name: str
    forge: str
    body: bytes
    headers: Mapping[str, str]
    signs: tuple[str, ...]
    refs: tuple[tuple[str, str | None, str | None], ...] = ()
    ignored: str | None = None
    options: tuple[str, ...] = ()
    is_form: bool = False
    content_type: str = "application/json"
    path: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)

    def with_headers(self, **changed: str | None) -> Sent:
        """Return it with headers added, changed, or (None) left out; `_` stands for `-`."""
        headers = dict(self.headers)
        for name, value in changed.items():
            name = name.replace("_", "-")
            headers.pop(name, None)
            if value is not None:
                headers[name] = value
        return replace(self, headers=headers)


def hex_of(body: bytes, secret: bytes, digest: str = "sha256") -> str:
    return hmac.new(secret, body, digest).hexdigest()


def _id() -> str:
    return f"72d3162e-cc78-11e3-81ab-{next(_numbers):012d}"


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()


def _push(ref: str, old: str, new: str, **more: Any) -> dict[str, Any]:
    # Whoever believes a name in it, or an address, is wrong.
    people = {"pusher": {"name": "root", "email": "root@trusted.example"}, "sender": {"login": "root"}}
    repository = {"url": "http://169.254.169.254/", "clone_url": "file:///etc/passwd", "created_at": 1}
    return {"ref": ref, "before": old, "after": new, **people, "repository": repository, "commits": [], **more}


def github(
    name: str = "github push",
    document: Any = None,
    *,
    event: str = "push",
    secret: bytes = SECRET,
    form: bool = False,
    **said: Any,
) -> Sent:
    body = _json(_push(MAIN, OLD, NEW) if document is None else document)
    if form:
        body = urlencode({"payload": body.decode()}).encode()
    headers = {
        "x-github-event": event,
        "x-github-delivery": _id(),
        "x-hub-signature-256": f"sha256={hex_of(body, secret)}",
    }
    kind = "application/x-www-form-urlencoded" if form else "application/json"
    return Sent(name, "github", body, headers, ("x-hub-signature-256",), is_form=form, content_type=kind, **said)


def gitlab(name: str, document: Any, *, event: str = "Push Hook", secret: bytes = SECRET, **said: Any) -> Sent:
    headers = {"x-gitlab-event": event, "idempotency-key": _id(), "x-gitlab-token": secret.decode()}
    return Sent(name, "gitlab", _json(document), headers, ("x-gitlab-token",), **said)


def gitlab_signed(name: str, document: Any, *, secret: bytes = SIGNING, at: float | None = None, **said: Any) -> Sent:
    body, identity = _json(document), _id()
    stamp = str(int(time.time() if at is None else at))
    key = base64.b64decode(secret.removeprefix(b"whsec_"))
    signature = base64.b64encode(
        hmac.new(key, f"{identity}.{stamp}.".encode() + body, hashlib.sha256).digest()
    ).decode()
    headers = {
        "x-gitlab-event": "Push Hook",
        "webhook-id": identity,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{signature}",
    }
    return Sent(name, "gitlab", body, headers, ("webhook-signature",), **said)


def gitea(
    name: str, document: Any, *, forge: str = "gitea", event: str = "push", secret: bytes = SECRET, **said: Any
) -> Sent:
    """Also Forgejo and Gogs. As the real ones, it sends the headers of the others beside its own."""
    body = _json(document)
    digest = hex_of(body, secret)
    headers = {f"x-{forge}-event": event, f"x-{forge}-delivery": _id(), f"x-{forge}-signature": digest}
    beside = {"x-github-event": event, "x-hub-signature-256": f"sha256={digest}"} if forge != "gogs" else {}
    return Sent(name, forge, body, headers, (f"x-{forge}-signature",), extra=beside, **said)


def bitbucket(name: str, document: Any, *, secret: bytes = SECRET, **said: Any) -> Sent:
    body = _json(document)
    headers = {"x-event-key": "repo:push", "x-request-uuid": _id(), "x-hub-signature": f"sha256={hex_of(body, secret)}"}
    return Sent(name, "bitbucket", body, headers, ("x-hub-signature",), **said)


def bitbucket_dc(
    name: str, document: Any, *, event: str = "repo:refs_changed", secret: bytes = SECRET, **said: Any
) -> Sent:
    body = _json(document)
    headers = {"x-event-key": event, "x-request-id": _id(), "x-hub-signature": f"sha256={hex_of(body, secret)}"}
    return Sent(name, "bitbucket-dc", body, headers, ("x-hub-signature",), **said)


class Instance:
    """An instance of sourcehut, with a key of its own."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.generate()
        self.public = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def sends(self, name: str, document: Any, *, end: str = "", **said: Any) -> Sent:
        body, nonce = _json(document), _id()
        signature = base64.b64encode(self._key.sign(body + nonce.encode())).decode()
        headers = {
            "x-webhook-event": "GIT_POST_RECEIVE",
            "x-webhook-delivery": _id(),
            "x-payload-nonce": nonce,
            "x-payload-signature": signature,
        }
        return Sent(name, "sourcehut", body, headers, ("x-payload-signature",), path=f"/{end}", **said)


def _side(kind: str, name: str, oid: str) -> dict[str, Any]:
    return {"type": kind, "name": name, "target": {"hash": oid, "type": "commit"}}


def fixtures(instance: Instance, end: str) -> list[Sent]:
    """Return the 21."""
    moved = ((MAIN, OLD, NEW),)
    options = {
        "ci": {"skip": True, "variable": {"KIND=fast": 1, "N=2": 1}, "unheard": {"of": 1}},
        "merge_request": {"create": True},
    }
    return [
        github("github push", refs=moved),
        github("github forced push", _push(MAIN, OLD, NEW, forced=True, created=False), refs=moved),
        github("github tag", _push(TAG, ZERO, NEW, created=True), refs=((TAG, None, NEW),)),
        github("github deletion", _push(MAIN, OLD, ZERO, deleted=True, head_commit=None), refs=((MAIN, OLD, None),)),
        github("github ping", {"zen": "Keep it", "hook_id": 1, "repository": {"created_at": "2026-01-01"}}, event="ping", ignored="ping"),
        github("github create", {"ref": "v1", "ref_type": "tag"}, event="create", ignored="not a push"),
        github("github form", form=True, refs=moved),
        gitlab("gitlab push", _push(MAIN, OLD, NEW, object_kind="push", checkout_sha=NEW), refs=moved),
        gitlab("gitlab annotated tag", _push(TAG, ZERO, NEW, checkout_sha="3" * 40), event="Tag Push Hook", refs=((TAG, None, NEW),)),
        gitlab("gitlab deletion", _push(MAIN, OLD, ZERO, checkout_sha=None), refs=((MAIN, OLD, None),)),
        gitlab("gitlab options", _push(MAIN, OLD, NEW, push_options=options), refs=moved,
               options=("ci.skip", "ci.variable=KIND=fast", "ci.variable=N=2")),
        gitlab_signed("gitlab signed", _push(MAIN, OLD, NEW), refs=moved),
        gitea("gitea push", _push(MAIN, OLD, NEW, secret="old ones put it here"), refs=moved),
        gitea("gitea test", _push(MAIN, OLD, OLD), ignored="test"),
        gitea("forgejo new branch", _push(MAIN, ZERO, NEW), forge="forgejo", refs=((MAIN, None, NEW),)),
        gitea("gogs push", _push(MAIN, OLD, NEW), forge="gogs", refs=moved),
        bitbucket(
            "bitbucket several",
            {"push": {"changes": [
                {"new": _side("branch", "main", NEW), "old": _side("branch", "main", OLD), "truncated": True},
                {"new": _side("tag", "v1", NEW), "old": None, "created": True},
                {"new": None, "old": _side("branch", "gone", OLD), "closed": True},
            ]}},
            refs=(*moved, (TAG, None, NEW), ("refs/heads/gone", OLD, None)),
        ),
        bitbucket("bitbucket mercurial", {"push": {"changes": [{"new": _side("bookmark", "main", NEW), "old": None}]}},
                  ignored="no branch or tag"),
        bitbucket_dc(
            "bitbucket-dc changes",
            {"eventKey": "repo:refs_changed", "changes": [
                {"ref": {"id": MAIN, "displayId": "main", "type": "BRANCH"}, "refId": MAIN, "fromHash": OLD, "toHash": NEW, "type": "UPDATE"},
                {"refId": TAG, "fromHash": ZERO, "toHash": NEW, "type": "ADD"},
            ]},
            refs=(*moved, (TAG, None, NEW)),
        ),
        bitbucket_dc("bitbucket-dc ping", {"test": True}, event="diagnostics:ping", ignored="ping"),
        instance.sends(
            "sourcehut push",
            {"data": {"webhook": {"event": "GIT_POST_RECEIVE", "updates": [{"ref": {"name": MAIN}, "old": {"id": OLD}, "new": {"id": NEW}}]}}},
            end=end, refs=moved,
        ),
    ]  # fmt: skip


def mutations(sent: Sent) -> dict[str, Sent | None]:
    """Return what is made of one by those who may not, by name; each is to be refused. None: it makes no difference."""
    sign = sent.signs[0]
    value = sent.headers[sign]
    flipped = bytes([sent.body[0] ^ 1]) + sent.body[1:]
    others = {
        "x-hub-signature-256",
        "x-hub-signature",
        "x-gitea-signature",
        "x-gitlab-token",
        "x-gogs-signature",
        "webhook-signature",
    }
    others -= {sign, "webhook-signature"} if sent.forge == "gitlab" else {sign}
    bare = {name: text for name, text in sent.headers.items() if name != sign}
    is_token = sign == "x-gitlab-token"
    is_hex = not is_token and sign not in ("webhook-signature", "x-payload-signature")
    sha1 = "sha1=" if "=" in value else ""
    return {
        # The token in clear covers nothing, as GitLab says.
        "flipped byte": None if is_token else replace(sent, body=flipped),
        "header missing": replace(sent, headers=bare),
        "another forge's header": replace(sent, headers=bare | {name: value for name in others}),
        "sha1 only": replace(sent, headers=bare | {sign: sha1 + hex_of(sent.body, SECRET, "sha1"), "x-hub-signature": "sha1=" + hex_of(sent.body, SECRET, "sha1")}),
        "upper-case hex": replace(sent, headers=bare | {sign: value.upper().replace("SHA256=", "sha256=")}) if is_hex else None,
        "non-ASCII header": replace(sent, headers=bare | {sign: value[:-1] + "ü"}),
        "empty header": replace(sent, headers=bare | {sign: ""}),
        "empty secret": replace(sent, headers=bare | {sign: ("sha256=" if value.startswith("sha256=") else "") + hex_of(sent.body, b"")}),
        "cut off": replace(sent, headers=bare | {sign: value[:-1]}),
    }  # fmt: skip
