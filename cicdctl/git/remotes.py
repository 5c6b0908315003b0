"""Addresses of repositories elsewhere: what may be fetched from, and its name without what proves who we are."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote, urlsplit

from cicdctl.errors import GitError
from cicdctl.model import Value

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.IGNORECASE | re.DOTALL)
# git-fetch(1): `host:path` is ssh unless a slash comes before the first colon.
_SCP = re.compile(r"(?:\[[^]/]+\]|[^/:\s]+):(?!:)(.*)", re.DOTALL)
_KNOWN = frozenset({"file", "http", "https", "ssh", "git+ssh", "ssh+git", "git"})
_BY_HTTP = ("http://", "https://")


class Address(Value, frozen=True, kw_only=True):
    """Where a repository is. `plain` is for git's command line, logs and state; the others prove who asks."""

    plain: str
    username: str | None = None
    password: str | None = None

    @property
    def is_http(self) -> bool:
        """Whether it is asked by http or https."""
        return self.plain.lower().startswith(_BY_HTTP)

    @property
    def site(self) -> str:
        """Scheme, host and port."""
        return "/".join(self.plain.split("/")[:3])

    @property
    def short_name(self) -> str:
        """The last part of the path without `.git`, fit for a file name."""
        last = re.split(r"[/:]", self.plain.rstrip("/"))[-1].removesuffix(".git")
        return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip(".-")[:60] or "repository"

    @property
    def digest(self) -> str:
        """12 hexadecimal digits of `plain`."""
        return hashlib.sha256(self.plain.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def is_elsewhere(text: str) -> bool:
    """Whether it is an address that git asks, and no path of this machine."""
    return _URL.match(text) is not None or (_SCP.fullmatch(text) is not None and not text.startswith((".", "/", "~")))


def read_address(text: str) -> Address:
    """Take an address apart. Raises GitError, without the secrets, for one that git would run or that leaks."""
    if text.startswith("-") or "::" in text.split("/", 1)[0]:
        raise GitError(f'"{hide_userinfo(text)}" is not the address of a repository')
    url = _URL.fullmatch(text)
    if url is None:
        if _SCP.fullmatch(text) and ":" in text.split("@")[0] and "@" in text.split("/")[0]:
            raise GitError("an ssh address takes no password", hint="use a key: ssh-agent, or ~/.ssh/config")
        return Address(plain=text)
    scheme = url[1].lower()
    if scheme not in _KNOWN:
        raise GitError(f'"{scheme}://" is no way to fetch a repository', hint="file, https, http and ssh are")
    try:
        parts = urlsplit(text)
        username, password = parts.username, parts.password
    except ValueError as error:
        raise GitError(f'"{hide_userinfo(text)}" is not the address of a repository: {error}') from error
    if scheme in ("http", "https"):
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return Address(plain=plain, username=_unquoted(username), password=_unquoted(password))
    if password is not None:
        raise GitError("an ssh address takes no password", hint="use a key: ssh-agent, or ~/.ssh/config")
    return Address(plain=text)


def hide_userinfo(text: str) -> str:
    """Return text in which `user:password@` of addresses is `***@`."""
    return re.sub(r"(\w://)[^/@\s]*@", r"\1***@", text)


def _unquoted(part: str | None) -> str | None:
    return None if part is None else unquote(part)
