"""Makes tokens of the server, shown once, and lists and revokes them."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence

from cicdctl.config.names import check_name
from cicdctl.errors import UsageError
from cicdctl.near_words import near_word
from cicdctl.project import Project
from cicdctl.reports.lines import age
from cicdctl.reports.output import print_document, print_lines, print_table, say_aside
from cicdctl.reports.text import quoted
from cicdctl.store.tokens import Token, open_tokens
from cicdctl.units import parse_duration

SCOPES = ("read", "cancel", "trigger", "admin")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}")


def make_token(project: Project, name: str, scopes: Sequence[str], *, expires: str) -> tuple[Token, str]:
    """Make a token; its text is returned once and kept nowhere. `expires` such as `90d`, empty: never.

    Raises UsageError for a name, scope or time that is none.
    """
    if _NAME.fullmatch(name) is None:
        raise UsageError("a token's name is one line of at most 64 characters")
    for scope in scopes:
        _check_scope(project, scope)
    try:
        seconds = parse_duration(expires) if expires else None
    except ValueError as error:
        raise UsageError(f"expires: {error}") from error
    if seconds is not None and seconds <= 0:
        raise UsageError("expires: it would have expired already")
    expires_at = None if seconds is None else time.time() + seconds
    tokens = open_tokens(project.state_folder)
    try:
        return tokens.create(name, sorted(set(scopes)), expires_at=expires_at)
    finally:
        tokens.close()


def create_token(project: Project, name: str, scopes: Sequence[str], *, expires: str, json: bool) -> int:
    """Make a token and print it alone on stdout. Returns exit status 0. Raises UsageError."""
    token, text = make_token(project, name, scopes, expires=expires)
    if json:
        print_document("token", {"token": {**_fields(token), "text": text}})
        return 0
    print_lines([text])
    if sys.stdout.isatty():
        say_aside(f"token {token.id} for {quoted(name)}: {', '.join(token.scopes)}. It is not shown again.")
    return 0


def print_tokens(project: Project, *, json: bool) -> int:
    """List the tokens without their secrets. Returns exit status 0."""
    tokens = open_tokens(project.state_folder)
    try:
        found = tokens.tokens()
    finally:
        tokens.close()
    if json:
        print_document("tokens", {"tokens": [_fields(token) for token in found]})
    elif not found:
        print_lines(["no tokens; cicdctl token create NAME makes one"])
    else:
        rows = [(token.id, quoted(token.name), " ".join(token.scopes), _state(token)) for token in found]
        print_table(rows, header=("id", "name", "scopes", "state"))
    return 0


def revoke_token(project: Project, name_or_id: str) -> int:
    """Make tokens worthless. Returns exit status 0. Raises UsageError when there is none of that name or id."""
    tokens = open_tokens(project.state_folder)
    try:
        revoked = tokens.revoke(name_or_id)
    finally:
        tokens.close()
    if not revoked:
        raise UsageError(f"there is no token {quoted(name_or_id)}", hint="cicdctl token list shows them")
    print_lines(f"token {token.id} ({quoted(token.name)}) is revoked" for token in revoked)
    return 0


def _check_scope(project: Project, scope: str) -> None:
    kind, colon, pipeline = scope.partition(":")
    if kind not in SCOPES or (colon and kind != "trigger"):
        known = f"{', '.join(SCOPES)} and trigger:PIPELINE are the scopes"
        raise UsageError(f"there is no scope {quoted(scope)}{near_word(kind, SCOPES)}", hint=known)
    if not colon:
        return
    complaint = check_name(pipeline)
    if complaint is not None:
        raise UsageError(f"scope {quoted(scope)}: {complaint}")
    config = project.configuration.working
    names = [one.name for one in config.pipelines] if config is not None else [pipeline]
    if pipeline not in names:
        project.warn(f'no pipeline here is called "{pipeline}"{near_word(pipeline, names)}')


def _state(token: Token) -> str:
    now = time.time()
    if token.revoked_at is not None:
        return f"revoked {age(token.revoked_at)} ago"
    if token.expires_at is not None and token.expires_at <= now:
        return f"expired {age(token.expires_at)} ago"
    return "never used" if token.used_at is None else f"used {age(token.used_at)} ago"


def _fields(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "name": token.name,
        "scopes": list(token.scopes),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "used_at": token.used_at,
        "revoked_at": token.revoked_at,
    }
