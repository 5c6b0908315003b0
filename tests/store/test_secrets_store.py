"""Secrets come back exactly, only to who names them, from a file that only its owner reads."""

from __future__ import annotations

import os
import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cicdctl.errors import StoreError
from cicdctl.store import Secrets

VALUE = "hunter2-canary"


@pytest.fixture
def secrets(tmp_path):
    return Secrets(tmp_path / "cicdctl", parse=tomllib.loads)


def test_stored_value_comes_back_and_goes(secrets):
    assert secrets.list() == ()
    secrets.set("TOKEN", VALUE)
    secrets.set("_other1", "two\nlines\n")
    assert secrets.list() == ("TOKEN", "_other1")
    assert secrets.get(["_other1", "TOKEN"], {}) == ({"_other1": "two\nlines\n", "TOKEN": VALUE}, ())
    secrets.set("TOKEN", "new")
    assert secrets.remove("_other1") is True
    assert secrets.remove("_other1") is False
    assert secrets.get(["TOKEN"], {}) == ({"TOKEN": "new"}, ())


@settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    value=st.one_of(
        st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))),
        st.sampled_from(
            ["\r\n", "\r", '"""', "'''", "\\", "\\n", "", " ", "# no comment", "[table]", "\x7f\x01", "\u2028"]
        ),
    )
)
def test_any_text_survives(tmp_path_factory, value):
    secrets = Secrets(tmp_path_factory.mktemp("secrets"), parse=tomllib.loads)
    secrets.set("NAME", value)
    assert secrets.get(["NAME"], {}) == ({"NAME": value}, ())


def test_stored_goes_before_environment_and_all_missing_are_named(secrets):
    secrets.set("A", "stored")
    found, missing = secrets.get(["A", "B", "C", "D", "C"], {"A": "env", "B": "env", "X": "not asked for"})
    assert found == {"A": "stored", "B": "env"}
    assert missing == ("C", "D")
    assert secrets.get([], {"A": "env"}) == ({}, ())


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A.B", "Ä", "A\n", "A=B", "../A"])
def test_names_that_no_environment_can_hold(secrets, name):
    with pytest.raises(ValueError):
        secrets.set(name, VALUE)
    assert secrets.list() == ()


@pytest.mark.parametrize("value", [f"{VALUE}\0", f"{VALUE}\udcff"])
def test_values_that_no_environment_can_hold(secrets, value):
    with pytest.raises(ValueError) as caught:
        secrets.set("A", value)
    assert VALUE not in str(caught.value)


def test_file_is_private_whatever_the_umask(secrets):
    old = os.umask(0)
    try:
        secrets.set("A", VALUE)
    finally:
        os.umask(old)
    assert secrets.path.stat().st_mode & 0o777 == 0o600
    assert secrets.path.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in secrets.path.parent.iterdir() if path.is_file()] == ["secrets.toml"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_file_that_others_can_read_is_refused(secrets, mode):
    secrets.set("A", VALUE)
    secrets.path.chmod(mode)
    for act in (secrets.list, lambda: secrets.get(["A"], {}), lambda: secrets.set("B", "x")):
        with pytest.raises(StoreError, match="can be read by others") as caught:
            act()
        assert "chmod 600" in caught.value.hint


def test_link_in_its_place_is_refused(secrets, tmp_path):
    secrets.set("A", VALUE)
    secrets.path.rename(tmp_path / "elsewhere")
    secrets.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot read"):
        secrets.list()


@pytest.mark.parametrize("text", [f'A = "{VALUE}', f'A = ["{VALUE}"]', f'"a b" = "{VALUE}"', f"[{VALUE}]\nA = 1"])
def test_damaged_file_is_named_without_its_values(secrets, text):
    secrets.set("B", "x")
    secrets.path.write_text(text)
    with pytest.raises(StoreError) as caught:
        secrets.list()
    shown = str(caught.value) + caught.value.hint
    assert str(secrets.path) in shown
    if not text.startswith("["):
        assert VALUE not in shown
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_processes_that_set_at_once_lose_nothing(secrets, start_python):
    source = """
import sys, tomllib
from pathlib import Path
from cicdctl.store import Secrets
for index in range(5):
    Secrets(Path(sys.argv[1]), parse=tomllib.loads).set(f"{sys.argv[2]}{index}", "x")
"""
    processes = [start_python(source, secrets.path.parent, name) for name in "ABC"]
    assert [process.wait(30) for process in processes] == [0, 0, 0]
    assert secrets.list() == tuple(f"{name}{index}" for name in "ABC" for index in range(5))
