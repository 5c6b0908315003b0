"""The way to the service: our key, our address, and nothing that the environment slips in between."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cicdctl.errors import ConfigError
from cicdctl.fixers.claude.options import ClaudeOptions
from cicdctl.loopback import is_loopback
from cicdctl.model import Value

if TYPE_CHECKING:
    from anthropic import Anthropic

DEFAULT_URL = "https://api.anthropic.com"
URL_VARIABLE = "ANTHROPIC_BASE_URL"
CHUNK_S = 120.0

_SENT = frozenset({
    "accept", "accept-encoding", "anthropic-version", "authorization", "connection", "content-length", "content-type",
    "host", "user-agent",
})  # fmt: skip


class Endpoint(Value, frozen=True, kw_only=True):
    """Where requests go, and the key that goes with them. `proxy` is an address, None to go straight."""

    url: str
    key: str
    proxy: str | None = None
    ca_file: str | None = None
    ca_folder: str | None = None

    def __repr__(self) -> str:
        return f"Endpoint({self.url})"


def find_endpoint(options: ClaudeOptions, environ: Mapping[str, str]) -> Endpoint | str:
    """Return the way to the service, or in one line why there is none."""
    key = environ.get(options.api_key_env, "").strip()
    if not key:
        return f"there is no key: {options.api_key_env} is not set"
    if not key.isascii() or not key.isprintable() or " " in key:
        return f"the key in {options.api_key_env} holds a character that no key has"
    url = (options.base_url or environ.get(URL_VARIABLE) or DEFAULT_URL).strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "base_url is no whole http or https address"
    if not host or parts.scheme not in ("http", "https"):
        return "base_url is no whole http or https address"
    if parts.username is not None or parts.query or parts.fragment:
        return "base_url must not hold a user name, a query or a fragment"
    if parts.scheme == "http" and not is_loopback(host):
        return "base_url is not https: the key would travel in the open"
    return Endpoint(
        url=url,
        key=key,
        proxy=_proxy(parts.scheme, host, environ),
        ca_file=environ.get("SSL_CERT_FILE") or None,
        ca_folder=environ.get("SSL_CERT_DIR") or None,
    )


def _proxy(scheme: str, host: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy that the operator has for this host. Loopback needs none, whatever the environment says."""
    if is_loopback(host):
        return None
    for entry in (environ.get("no_proxy") or environ.get("NO_PROXY") or "").split(","):
        name = entry.strip().lower().lstrip("*.")
        if entry.strip() == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return None
    for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"):
        if environ.get(name):
            return environ[name]
    return None


def load_sdk() -> Any:
    """Import the client library, never a file of that name in the folder we are in. Raises ImportError.

    What is below the working folder may come from anybody: it goes to the end of the search path, for good, since
    the library imports more of itself when it is used.
    """
    here = Path.cwd()
    own = [entry for entry in sys.path if entry == "" or Path(entry).absolute() == here]
    if own:
        sys.path[:] = [entry for entry in sys.path if entry not in own] + own
    import anthropic
    import httpx2  # noqa: F401 (an older library has another client, and other exceptions)

    # ANTHROPIC_LOG=debug would print what is sent.
    for name in ("anthropic", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return anthropic


@contextmanager
def open_client(endpoint: Endpoint, options: ClaudeOptions) -> Iterator[Anthropic]:
    """Open a client that tries nothing again and follows no redirect. Raises ImportError and ConfigError."""
    sdk = load_sdk()
    import httpx2

    timeout = httpx2.Timeout(CHUNK_S, connect=options.connect_timeout)
    target = httpx2.URL(endpoint.url)

    def pin(request: httpx2.Request) -> None:
        # ANTHROPIC_CUSTOM_HEADERS may hold another key; the client takes them whatever else it is given.
        if (request.url.scheme, request.url.host, request.url.port) != (target.scheme, target.host, target.port):
            raise httpx2.UnsupportedProtocol("a request to another address", request=request)
        for name in list(request.headers):
            if name not in _SENT and not name.startswith("x-stainless-"):
                del request.headers[name]
        request.headers["authorization"] = f"Bearer {endpoint.key}"

    http = _open_http(endpoint, timeout=timeout, follow_redirects=False, event_hooks={"request": [pin]})
    with http:
        yield sdk.Anthropic(
            api_key=endpoint.key,
            base_url=endpoint.url,
            timeout=timeout,
            max_retries=0,
            http_client=http,
            open_telemetry=False,
        )


def _open_http(endpoint: Endpoint, **more: Any) -> Any:
    """Open what connects, by the operator's own proxy and certificates. Raises ConfigError when they are unfit."""
    import ssl

    import httpx2

    try:
        verify: Any = True
        if endpoint.ca_file or endpoint.ca_folder:
            verify = ssl.create_default_context(cafile=endpoint.ca_file, capath=endpoint.ca_folder)
        return httpx2.Client(trust_env=False, proxy=endpoint.proxy, verify=verify, **more)
    except (ImportError, ValueError, OSError, httpx2.InvalidURL) as error:
        problem = f"the proxy or the certificates of the environment cannot be used: {type(error).__name__}"
        raise ConfigError((problem,), hint="see HTTPS_PROXY, SSL_CERT_FILE, SSL_CERT_DIR") from error


def host_of(endpoint: Endpoint) -> str:
    """Return what is written into proofs: where it went, without the path."""
    parts = urlsplit(endpoint.url)
    return f"{parts.scheme}://{parts.netloc}"


__all__ = ["DEFAULT_URL", "Endpoint", "find_endpoint", "host_of", "load_sdk", "open_client"]
