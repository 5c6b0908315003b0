"""Tokens of the server and the sessions of browsers that logged in with one. Only digests of secrets are kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from cicdctl.errors import StoreError
from cicdctl.model import Value
from cicdctl.store.database import Database
from cicdctl.store.database_open import open_database
from cicdctl.store.documents import clean

SESSION_S = 30 * 86400.0
_USED_S = 60.0  # how exactly the last use is remembered: a look must not write each time
_FORM = re.compile(r"cicd_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")


class Token(Value, frozen=True, kw_only=True):
    """A token without its secret. Times are Unix seconds; None: it never expires, was never used, is not revoked."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float | None = None
    used_at: float | None = None
    revoked_at: float | None = None

    def is_valid(self, now: float) -> bool:
        """Whether it is accepted at this moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class TokenStore:
    """Safe from any thread and process; what a call wrote survives a power loss. Raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def close(self) -> None:
        """Release it; calling it again does nothing."""
        self._database.close()

    def check_writable(self) -> None:
        """Do nothing, in a write transaction. Raises StoreError where it could not be committed."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('probe', '')")

    def create(self, name: str, scopes: Sequence[str], *, expires_at: float | None = None) -> tuple[Token, str]:
        """Make a token; its text, `cicd_<id>_<secret>` with 256 random bits, is returned once and kept nowhere."""
        token = Token(
            id=secrets.token_hex(4), name=name, scopes=tuple(scopes), created_at=time.time(), expires_at=expires_at
        )
        secret = secrets.token_urlsafe(32)
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)",
                (token.id, clean(name), _digest(secret), " ".join(scopes), token.created_at, expires_at),
            )
        return token, f"cicd_{token.id}_{secret}"

    def tokens(self) -> list[Token]:
        """List all tokens, the oldest first, those that were revoked too."""
        rows = self._database.query(f"SELECT {_COLUMNS} FROM token ORDER BY created_at, id")
        return [_token(row) for row in rows]

    def revoke(self, name_or_id: str) -> list[Token]:
        """Make the token of this id, or every one of this name, worthless, and end its sessions; return them."""
        now = time.time()
        with self._database.transaction() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM token WHERE (id = ? OR name = ?) AND revoked_at IS NULL",
                (clean(name_or_id), clean(name_or_id)),
            ).fetchall()
            for row in rows:
                connection.execute("UPDATE token SET revoked_at = ? WHERE id = ?", (now, row[0]))
                connection.execute("DELETE FROM session WHERE token = ?", (row[0],))
        return [_token(row) for row in rows]

    def find(self, text: str) -> Token | None:
        """Return the valid token with this text; None for anything else, in the same time."""
        form = _FORM.fullmatch(text)
        known = form[1] if form else ""
        rows = self._database.query(f"SELECT {_COLUMNS}, digest FROM token WHERE id = ?", (known,))
        digest = rows[0][-1] if rows else "0" * 64
        is_it = hmac.compare_digest(_digest(form[2] if form else ""), digest)
        return self._valid(_token(rows[0])) if rows and is_it else None

    def begin_session(self, token: Token) -> str:
        """Begin a session of a token that was shown; return what the cookie holds. It ends after 30 days."""
        secret = secrets.token_urlsafe(32)
        now = time.time()
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM session WHERE expires_at < ?", (now,))
            connection.execute("INSERT INTO session VALUES (?, ?, ?)", (_digest(secret), token.id, now + SESSION_S))
        return secret

    def of_session(self, secret: str) -> Token | None:
        """Return the valid token behind a session; None when it has ended."""
        rows = self._database.query(
            f"SELECT {_COLUMNS} FROM token WHERE id = (SELECT token FROM session WHERE digest = ? AND expires_at > ?)",
            (_digest(secret), time.time()),
        )
        return self._valid(_token(rows[0])) if rows else None

    def end_session(self, secret: str) -> None:
        """Forget a session."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM session WHERE digest = ?", (_digest(secret),))

    def _valid(self, token: Token) -> Token | None:
        now = time.time()
        if not token.is_valid(now):
            return None
        if token.used_at is None or now - token.used_at > _USED_S:
            with suppress(StoreError), self._database.transaction() as connection:
                connection.execute("UPDATE token SET used_at = ? WHERE id = ?", (now, token.id))
        return token


def open_tokens(folder: Path) -> TokenStore:
    """Open the tokens beside the state of a repository. Raises StoreError."""
    return TokenStore(open_database(folder))


_COLUMNS = "id, name, scopes, created_at, expires_at, used_at, revoked_at"


def _token(row: Sequence[object]) -> Token:
    fields = dict(zip(_COLUMNS.split(", "), row, strict=False))
    return msgspec.convert({**fields, "scopes": str(fields["scopes"]).split()}, Token)


def _digest(secret: str) -> str:
    # Nothing slower is needed: there are 256 random bits in it.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
