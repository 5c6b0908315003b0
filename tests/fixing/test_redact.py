"""Secrets do not get out: known values in any dress, formats, keys, randomness. And what is none stays readable."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_secrets import AWS, GITHUB, KNOWN, LEAKS, PASSWORD, RANDOM, READABLE, letters

from cicdctl.fixing.capture import clean_lines
from cicdctl.fixing.gitleaks import Rule, Table, load_table
from cicdctl.fixing.known_secrets import login_secrets, remote_secrets, secret_variables
from cicdctl.fixing.normal_text import normal_lines, read_text
from cicdctl.fixing.redact import RedactionFailed, Redactor

LOGS = sorted((Path(__file__).parent / "logs").glob("*/*.log"))


@pytest.mark.parametrize("name", LEAKS)
def test_hidden(name):
    """The secret is gone, and a mark says so."""
    text, secret = LEAKS[name]
    redactor = Redactor({"SHOP": KNOWN})
    shown = "\n".join(clean_lines(text.encode(), redactor))
    shown = redactor.text(shown)
    assert secret not in shown
    assert "[REDACTED:" in shown
    assert sum(redactor.counts.values()) >= 1


@pytest.mark.parametrize("tear", ["coloured", "overwritten", "overwritten at a space", "backspaced", "hidden letters"])
@pytest.mark.parametrize("secret", [KNOWN, GITHUB, AWS])
def test_hidden_though_torn(secret, tear):
    """Escapes, carriage returns, backspaces and letters of no width in the middle of a secret do not save it."""
    at = len(secret) // 2
    torn = {
        "coloured": f"token {secret[:at]}\x1b[31m{secret[at:]}\x1b[0m",
        "overwritten": f"token {secret[:at]}\r{secret[at:]}",
        "overwritten at a space": f"token {secret[:8]}\r{secret[8:]}",
        "backspaced": f"token {secret[:at]}x\x08{secret[at:]}",
        "hidden letters": f"token {secret[:at]}\u200b\u2060{secret[at:]}",
    }[tear]
    redactor = Redactor({"SHOP": KNOWN})
    shown = redactor.text("\n".join(clean_lines(f"a\n{torn}\nb".encode(), redactor)))
    assert secret[:at] not in shown
    assert secret[at:] not in shown
    assert secret[8:] not in shown


def test_numbers_tell_values_apart():
    """Equal values have equal marks, over all texts; counts are of values, not of places."""
    redactor = Redactor({"A": "first value", "B": "second value"})
    assert redactor.text("first value, second value") == "[REDACTED:value#1], [REDACTED:value#2]"
    assert redactor.text("second value") == "[REDACTED:value#2]"
    assert redactor.text(f"{GITHUB} {GITHUB}") == "[REDACTED:github-pat#3] [REDACTED:github-pat#3]"
    assert redactor.counts == {"value": 2, "github-pat": 1}


def test_what_was_found_once_is_known():
    """A password that a URL gave away is hidden where it stands alone."""
    redactor = Redactor()
    redactor.text(f"postgres://shop:{PASSWORD}@db/shop")
    assert redactor.text(f"E  assert {PASSWORD!r} == ''") == "E  assert '[REDACTED:userinfo#1]' == ''"


def test_secrets_that_overlap_leave_no_rest():
    """No part of either stays."""
    redactor = Redactor({"A": "abcdefghij", "B": "hijklmnopq"})
    assert redactor.text("-abcdefghijklmnopq-") == "-[REDACTED:value#1]-"


def test_a_look_changes_nothing():
    """`holds_secret` takes no number."""
    redactor = Redactor({"A": "first value"})
    assert redactor.holds_secret("my first value")
    assert not redactor.holds_secret("my value")
    assert redactor.counts == {}


@pytest.mark.parametrize("text", READABLE)
def test_readable(text):
    """Ordinary text of logs is not touched."""
    assert Redactor().text(text) == text


@pytest.mark.parametrize("path", LOGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_golden_logs_are_readable(path):
    """Nothing in what real tools print looks like a secret."""
    text = "\n".join(normal_lines(read_text(path.read_bytes())))
    redactor = Redactor()
    assert redactor.text(text) == text
    assert redactor.counts == {}


def test_random_text_of_the_repository_is_no_secret():
    """A checksum of a lock file is not hidden."""
    assert Redactor(is_tracked=lambda text: text == RANDOM).text(f"sha512-{RANDOM}!") != f"sha512-{RANDOM}!"
    assert Redactor(is_tracked=lambda text: RANDOM in text).text(f"hash {RANDOM}!") == f"hash {RANDOM}!"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([text for text, _ in LEAKS.values()] + list(READABLE) + ["[REDACTED:", "#1]", "key=", "\n"]), max_size=5))
def test_redacted_text_holds_no_secret(parts):
    """Redacting again changes nothing."""
    redactor = Redactor({"SHOP": KNOWN})
    once = redactor.text(" ".join(parts))
    assert redactor.text(once) == once
    assert not redactor.holds_secret(once)


def test_every_rule_of_the_table_compiles_and_has_a_keyword():
    """220 rules, with the notice that their licence asks for."""
    table = load_table()
    assert len(table.rules) == 220
    assert all(rule.keywords and rule.keywords == tuple(word.lower() for word in rule.keywords) for rule in table.rules)
    for rule in table.rules:
        list(Table((rule,)).find(f"x {rule.keywords[0]}: {letters(13, 80)} y"))
    notice = json.loads((Path(__file__).parents[2] / "cicdctl/fixing/gitleaks.json").read_text())["notice"]
    assert "MIT License" in notice


def damaged_table() -> Table:
    return Table((Rule(id="broken", pattern="(", keywords=("token",)),))


def lost_table() -> Table:
    raise FileNotFoundError("gitleaks.json")


@pytest.mark.parametrize("table", [damaged_table, lost_table])
def test_fails_closed(table):
    """Rules that cannot be used let no text through."""
    redactor = Redactor(table=table)
    for call in (redactor.text, redactor.holds_secret):
        with pytest.raises(RedactionFailed, match="could not be looked through for secrets"):
            call("a token")


@pytest.mark.parametrize("part", ["key=", "eyJabcdefgh.", "://a:", "password=", "-----BEGIN RSA PRIVATE KEY-----", "Aa1/", 'curl -u "a:b'])
def test_hostile_text_takes_a_moment(part):
    """100 KB of what rules begin with; the timeout is the judge."""
    Redactor({"SHOP": KNOWN}).text((part * 100_000)[:100_000])


def test_variables_by_their_names():
    """What is named like a secret is one, unless its value plainly is none."""
    environ = {
        "GITHUB_TOKEN": GITHUB, "DB_PASSWD": "short12", "SESSION_COOKIE": "abcdef", "SENTRY_DSN": "https://x@y/1",
        "SSH_AUTH_SOCK": "/tmp/agent.1", "XDG_SESSION_TYPE": "wayland", "AUTH": "true", "TOKEN_FILE": "/run/token",
        "PATH": "/bin", "AUTHOR": "Ada Author", "GIT_AUTHOR_NAME": "Ada Author", "PASSWORD_LENGTH": "123456",
    }  # fmt: skip
    assert set(secret_variables(environ)) == {"GITHUB_TOKEN", "DB_PASSWD", "SESSION_COOKIE", "SENTRY_DSN"}


def test_what_git_and_package_managers_log_in_with(tmp_path):
    """Userinfo of remotes, also percent-encoded, and the files of the home folder."""
    config = {
        "remote.origin.url": ["https://ada:p%40ssword@example.test/x.git"],
        "remote.ci.url": [f"https://{GITHUB}@example.test/x.git", "git@example.test:x.git", "https://ada@example.test/x"],
        "user.name": ["a://b:secret@c"],
    }
    assert set(remote_secrets(config)) == {"p%40ssword", "p@ssword", GITHUB}
    (tmp_path / ".netrc").write_text("machine example.test login ada password netrc-secret\n")
    (tmp_path / ".npmrc").write_text("//registry.example.test/:_authToken=npm-secret\nx:_authToken=${NPM_TOKEN}\n")
    (tmp_path / ".pypirc").write_text("[pypi]\nusername = ada\npassword = pypi-secret\n")
    assert set(login_secrets(tmp_path)) == {"netrc-secret", "npm-secret", "pypi-secret"}
    assert list(login_secrets(tmp_path / "nowhere")) == []
