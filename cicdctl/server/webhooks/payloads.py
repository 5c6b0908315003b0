"""What a delivery says has happened: refs and ids, checked for shape, and nothing else of it is believed or kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from cicdctl.config.webhook_secrets import SOURCEHUT
from cicdctl.store.deliveries import Delivery, RefHint

# Whatever a look finds counts, so no more need be kept than people want to see.
MOST_HINTS = 100
_MOST_OPTIONS = 50
_OID = re.compile(r"[0-9a-fA-F]{40}(?:[0-9a-fA-F]{24})?")
_ZERO = re.compile(r"0+")
_REF = re.compile(r"refs/(?:heads|tags)/[^\x00-\x20\x7f~^:?*\[\\]{1,400}")
_EVENT = re.compile(r"[^A-Za-z0-9 :._-]")

Headers = Mapping[str, str]
_Refs = Callable[[Mapping[str, Any]], Iterator[RefHint]]


class BadPayload(ValueError):
    """A delivery that is proved but cannot be read."""


class _Forge(msgspec.Struct, frozen=True, kw_only=True):
    """How a forge writes it. `pushes` are the events that tell of refs, `pings` those that try out the address."""

    event: str
    identity: tuple[str, ...]
    pushes: tuple[str, ...]
    pings: tuple[str, ...] = ()
    refs: _Refs


def read_delivery(forge: str, body: bytes, headers: Headers, *, is_form: bool = False) -> Delivery:
    """Read a delivery that is proved. `headers` are by lower-case name. Raises BadPayload."""
    known = _FORGES[forge]
    event = _EVENT.sub("", headers.get(known.event, "")[:100])
    identity = _identity(known, body, headers)
    if event not in known.pushes:
        ignored = "ping" if event in known.pings else "not a push"
        return Delivery(forge=forge, id=identity, event=event, ignored=ignored)
    document = _parse(body, is_form=is_form)
    hints: list[RefHint] = []
    count = unmoved = 0
    for hint in known.refs(document):
        if hint.old == hint.new:
            unmoved += 1
            continue
        count += 1
        if count <= MOST_HINTS:
            hints.append(hint)
    # sourcehut sends what a query of the user's own asks for, which may be nothing.
    tells = count > 0 or (forge == SOURCEHUT and not unmoved)
    return Delivery(
        forge=forge,
        id=identity,
        event=event,
        hints=tuple(hints),
        more=max(0, count - MOST_HINTS),
        options=_options(document) if forge == "gitlab" else (),
        ignored=None if tells else "test" if unmoved else "no branch or tag",
    )


def _identity(forge: _Forge, body: bytes, headers: Headers) -> str:
    given = next((headers[name] for name in forge.identity if headers.get(name)), "")[:200]
    if given or not headers.get("x-gitlab-event-uuid"):
        return given
    # GitLab gives webhooks that follow from each other the same one.
    return f"{headers['x-gitlab-event-uuid'][:100]} {hashlib.sha256(body).hexdigest()[:16]}"


def _parse(body: bytes, *, is_form: bool) -> Mapping[str, Any]:
    try:
        if is_form:
            fields = parse_qs(body.decode(), max_num_fields=10, strict_parsing=True)
            body = fields["payload"][0].encode()
        document = msgspec.json.decode(body)
    # A deep document, or a number of 5,000 digits, is the sender's fault as well.
    except (msgspec.DecodeError, ValueError, KeyError, RecursionError) as error:
        raise BadPayload("not a JSON document") from error
    if not isinstance(document, dict):
        raise BadPayload("not a JSON object")
    return document


def _before_and_after(document: Mapping[str, Any]) -> Iterator[RefHint]:
    """GitHub, GitLab, Gitea, Forgejo and Gogs: one ref.

    GitHub's `create` and `delete` have a short ref and no id, and come as a push too. GitLab has no flags, only zero
    ids; for an annotated tag `after` is the tag, which is what the ref holds.
    """
    yield from _hint(document.get("ref"), document.get("before"), document.get("after"))


def _bitbucket_refs(document: Mapping[str, Any]) -> Iterator[RefHint]:
    for change in _list(_mapping(document.get("push")).get("changes")):
        old, new = (_mapping(_mapping(change).get(side)) for side in ("old", "new"))
        side = new or old
        prefix = _BITBUCKET_KINDS.get(str(side.get("type")))
        if prefix is not None:
            ids = (_mapping(one.get("target")).get("hash") if one else None for one in (old, new))
            yield from _hint(f"{prefix}{side.get('name')}", *ids)


_BITBUCKET_KINDS = {"branch": "refs/heads/", "named_branch": "refs/heads/", "tag": "refs/tags/"}


def _bitbucket_dc_refs(document: Mapping[str, Any]) -> Iterator[RefHint]:
    for change in _list(document.get("changes")):
        fields = _mapping(change)
        ref = _mapping(fields.get("ref")).get("id") or fields.get("refId")
        yield from _hint(ref, fields.get("fromHash"), fields.get("toHash"))


def _sourcehut_refs(document: Mapping[str, Any]) -> Iterator[RefHint]:
    """Read what the query in docs/webhooks.md asks for."""
    webhook = _mapping(_mapping(document.get("data")).get("webhook"))
    for update in _list(webhook.get("updates")):
        fields = _mapping(update)
        ids = (_mapping(fields.get(side)).get("id") for side in ("old", "new"))
        yield from _hint(_mapping(fields.get("ref")).get("name"), *ids)


def _hint(ref: Any, old: Any, new: Any) -> Iterator[RefHint]:
    """Yield a hint when it is about a branch or a tag. Raises BadPayload for ids that are none."""
    if not isinstance(ref, str) or _REF.fullmatch(ref) is None or ".." in ref or ref.endswith((".lock", "/", ".")):
        return
    yield RefHint(ref=ref, old=_oid(old), new=_oid(new))


def _oid(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or _OID.fullmatch(value) is None:
        raise BadPayload("an id is no object id")
    return None if _ZERO.fullmatch(value) else value.lower()


def _options(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the push options, as git has them. GitLab hands them on as `{"ci": {"variable": {"K=V": 1}}}`."""
    ci = _mapping(_mapping(document.get("push_options")).get("ci"))
    found = ["ci.skip"] if ci.get("skip") else []
    for kind in ("variable", "input"):
        found += [f"ci.{kind}={text}" for text in _mapping(ci.get(kind)) if len(text) <= 4096]
    return tuple(found[:_MOST_OPTIONS])


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _like_github(name: str, *, pings: tuple[str, ...] = ()) -> _Forge:
    return _Forge(
        event=f"x-{name}-event",
        identity=(f"x-{name}-delivery",),
        pushes=("push",),
        pings=pings,
        refs=_before_and_after,
    )


_FORGES: Mapping[str, _Forge] = {
    "github": _like_github("github", pings=("ping",)),
    "gitlab": _Forge(
        event="x-gitlab-event",
        identity=("webhook-id", "idempotency-key"),
        pushes=("Push Hook", "Tag Push Hook"),
        refs=_before_and_after,
    ),
    "gitea": _like_github("gitea"),
    "forgejo": _like_github("forgejo"),
    "gogs": _like_github("gogs"),
    "bitbucket": _Forge(event="x-event-key", identity=("x-request-uuid",), pushes=("repo:push",), refs=_bitbucket_refs),
    "bitbucket-dc": _Forge(
        event="x-event-key",
        identity=("x-request-id",),
        pushes=("repo:refs_changed",),
        pings=("diagnostics:ping",),
        refs=_bitbucket_dc_refs,
    ),
    SOURCEHUT: _Forge(
        event="x-webhook-event",
        identity=("x-webhook-delivery",),
        pushes=("GIT_POST_RECEIVE", "git:post_receive"),
        refs=_sourcehut_refs,
    ),
}
