"""Who asks: the holder of a token, by itself or through a session, or nobody in particular."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.requests import Request

from cicdctl.model import Value
from cicdctl.server.answers import Refusal
from cicdctl.server.guard.hosts import host_name
from cicdctl.server.route import ADMIN, LOCAL, READ
from cicdctl.server.site import Site

SECURE_COOKIE = "__Host-cicd"
LOOPBACK_COOKIE = "cicd"
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Who(Value, frozen=True, kw_only=True):
    """What somebody may do. `scopes`: `read`, `cancel`, `trigger`, `trigger:<pipeline>`, `admin`, which is all."""

    name: str
    token: str | None = None
    scopes: frozenset[str] = frozenset()
    is_bearer: bool = False

    @classmethod
    def nobody(cls) -> Who:
        """Return somebody without a token."""
        return cls(name="nobody")

    def may(self, scope: str) -> bool:
        """Whether a scope is granted. Whoever may do anything may also read."""
        if ADMIN in self.scopes or scope in self.scopes:
            return True
        if scope in (READ, LOCAL):
            return bool(self.scopes)
        if scope == "trigger":
            return any(granted.startswith("trigger:") for granted in self.scopes)
        return scope.startswith("trigger:") and "trigger" in self.scopes

    def require(self, scope: str, *, anonymous: Collection[str] = ()) -> None:
        """Raise Refusal, 401 for nobody and 403 for somebody, unless the scope is granted."""
        if self.may(scope) or (self.token is None and scope in anonymous):
            return
        if self.token is None:
            raise Refusal(401, "no_token", "this needs a token", hint="cicdctl token create", headers=_CHALLENGE)
        raise Refusal(403, "scope", f'this token does not grant "{scope}"', hint="cicdctl token list shows what it may")


def cookie_name(request: Request, site: Site) -> str:
    """Return the name of the cookie that holds a session, by how people come to us: one of them only is believed.

    Over https others may set the plain one for us, from a host beside ours or over http: with a session of their own
    whoever looks would act in their name.
    """
    url = urlsplit(site.project.settings.server.url or "")
    given = host_name(request.headers.get("host", ""))
    is_secure = request.url.scheme == "https" or (url.scheme == "https" and given == host_name(url.netloc))
    return SECURE_COOKIE if is_secure else LOOPBACK_COOKIE


def identify(request: Request, site: Site) -> Who:
    """Return who asks. Raises Refusal for a token that is not valid (any more); a stale session is nobody."""
    given = request.headers.getlist("authorization")
    if given:
        kind, _, secret = given[0].partition(" ")
        found = site.tokens.find(secret.strip()) if len(given) == 1 and kind.lower() == "bearer" else None
        if found is None:
            raise Refusal(401, "bad_token", "this token is not valid", headers=_CHALLENGE)
        return Who(name=found.name, token=found.id, scopes=frozenset(found.scopes), is_bearer=True)
    session = request.cookies.get(cookie_name(request, site))
    found = site.tokens.of_session(session) if session else None
    if found is None:
        return Who.nobody()
    return Who(name=found.name, token=found.id, scopes=frozenset(found.scopes))
