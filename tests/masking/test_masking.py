"""Secrets are hidden however they are written and however the bytes are cut."""

from __future__ import annotations

import base64
import json
import random
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicdctl.masking import Masker, list_variants

SECRET = 'p4ss/w0rd+"ü & x\\y'
PEM = (
    "-----BEGIN KEY-----\n"
    + "".join(base64.b64encode(bytes(range(at, at + 48))).decode() + "\n" for at in range(0, 192, 48))
    + "ab\n-----END KEY-----\n"
)


def canaries(secret: str) -> dict[str, bytes]:
    """Every form of a secret that must not be seen, beside text that must."""
    raw = secret.encode()
    forms = {
        "plain": raw,
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "percent": quote(secret, safe="").encode(),
        "percent path": quote(secret).encode(),
        "form": quote_plus(secret).encode(),
        "json": json.dumps(secret)[1:-1].encode(),
        "json utf-8": json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
    }
    for shift in range(3):
        forms[f"base64 {shift}"] = base64.b64encode(b"u" * shift + raw + b"tail!")
        forms[f"base64url {shift}"] = base64.urlsafe_b64encode(b"u" * shift + raw + b"tail!")
    return forms


def run_masker(secrets: list[str], data: bytes, size: int) -> bytes:
    masker = Masker(secrets)
    parts = [masker.feed(data[at : at + size]) for at in range(0, len(data), size)]
    return b"".join([*parts, masker.flush()])


@pytest.mark.parametrize("size", [1, 3, 7, 64, 100_000])
@pytest.mark.parametrize("secret", [SECRET, "hunter2hunter2", "abcd", "x" * 300])
def test_every_form_is_hidden_at_every_cut(secret: str, size: int) -> None:
    for name, form in canaries(secret).items():
        shown = run_masker([secret], b"before " + form + b" after\n", size)
        assert b"***" in shown, name
        assert shown.startswith(b"before ") and shown.endswith(b" after\n"), name
        # Around the stable middle of base64 there are characters that mix in what stands beside it.
        assert len(shown) <= len(b"before *** after\n") + (16 if "base64" in name else 0), (name, shown)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_lines_of_a_key_are_hidden_one_by_one(size: int) -> None:
    lines = PEM.splitlines()
    shown = run_masker([PEM], "".join(f"    {line}\r\n" for line in lines).encode(), size).decode()

    assert shown.split() == ["***"] * (len(lines) - 2) + ["ab", "***"], "lines below 4 characters stay"


@pytest.mark.parametrize("width", [64, 76])
def test_base64_that_is_broken_into_lines_is_hidden(width: int) -> None:
    secret = "long secret " * 20
    text = base64.b64encode(secret.encode()).decode()
    broken = "\n".join(text[at : at + width] for at in range(0, len(text), width))
    shown = Masker([secret]).text(broken)

    assert all(len(line) <= 6 for line in shown.splitlines()), shown


def test_what_cannot_begin_a_secret_passes_at_once() -> None:
    masker = Masker(["secret-value"])
    assert masker.feed(b"building...") == b"building..."
    assert masker.feed(b" 100% secr") == b" 100% "
    assert masker.feed(b"etly\n") == b"secretly\n"
    assert masker.feed(b"now secret-val") == b"now "
    assert masker.feed(b"ue") == b"***", "complete, so shown without waiting for more"
    assert masker.flush() == b""


def test_no_more_than_the_longest_pattern_is_held() -> None:
    masker = Masker(["a" * 50])
    seen = sum(len(masker.feed(b"a")) for _ in range(49))
    assert seen == 0
    longest = max(map(len, list_variants("a" * 50)))
    masker = Masker(["a" * 50])
    for at in range(1, 500):
        before = len(masker.feed(b"x" * at + b"a" * (at % 60)))
        assert at <= before + longest


def test_longer_secret_wins_over_the_one_it_contains() -> None:
    for size in (1, 5, 100):
        assert run_masker(["abcd", "abcdefgh"], b"1 abcdefgh 2 abcd 3 abcdefg", size) == b"1 *** 2 *** 3 ***efg"


def test_overlapping_secrets_are_both_hidden() -> None:
    for size in (1, 2, 3, 5, 100):
        assert run_masker(["abcdef", "defghi"], b"<abcdefghi>", size) == b"<***>"
        assert run_masker(["aaaa"], b"<" + b"a" * 11 + b">", size) == b"<***>"
        assert run_masker(["aabaa"], b"<aabaaabaa>", size) == b"<***>"


def test_neighbouring_secrets_stay_two() -> None:
    for size in (1, 4, 5, 100):
        assert run_masker(["abcd", "efgh"], b"abcdefgh", size) == b"******"


@given(
    st.lists(st.text(alphabet="ab", min_size=4, max_size=9), min_size=1, max_size=4),
    st.text(alphabet="abc", max_size=200),
    st.integers(1, 20),
)
def test_cut_makes_no_difference_and_nothing_is_left(secrets: list[str], text: str, size: int) -> None:
    data = text.encode()
    whole = run_masker(secrets, data, 10_000)

    assert run_masker(secrets, data, size) == whole
    assert all(secret.encode() not in whole for secret in secrets)
    assert whole.replace(b"***", b"").translate(None, b"abc") == b""


@given(st.binary(max_size=300), st.integers(1, 50))
def test_other_bytes_are_untouched(data: bytes, size: int) -> None:
    assert run_masker(["correct horse battery staple"], data, size) == data


def test_short_values_are_warned_about_and_not_masked() -> None:
    masker = Masker({"PIN": "123", "EMPTY": "", "TOKEN": "abcdefgh"})

    assert masker.warnings == ("secret 'PIN' is not masked: it has fewer than 4 characters",)
    assert masker.feed(b"123 abcdefgh\n") == b"123 ***\n"


def test_nothing_to_hide_is_false_and_passes_everything() -> None:
    for masker in (Masker({}), Masker(["", "1"])):
        assert not masker
        assert masker.feed(b"x") + masker.flush() == b"x"


def test_text_is_masked_whole() -> None:
    masker = Masker(["hunter2", "geheim-ü"])
    assert masker.text("Bearer hunter2 \udcff geheim-üx") == "Bearer *** \udcff ***x"
    assert masker.text("nothing") == "nothing"
    assert Masker([]).text("nothing") == "nothing"


def test_text_leaves_the_stream_alone() -> None:
    masker = Masker(["secret-value"])
    assert masker.feed(b"secret-") == b""
    assert masker.text("value secret-value") == "value ***"
    assert masker.feed(b"value") == b"***"


def test_every_form_in_a_text_is_noticed() -> None:
    masker = Masker([SECRET])
    for name, form in canaries(SECRET).items():
        text = f"<{form.decode()}>"
        assert masker.holds_secret(text), name
        assert "***" in masker.text(text), name
    assert not masker.holds_secret(SECRET[:-1])
    assert not masker.holds_secret("")


@given(st.lists(st.text(alphabet="ab", min_size=4, max_size=9), max_size=4), st.text(alphabet="abc", max_size=100))
def test_text_is_what_the_stream_gives(secrets: list[str], text: str) -> None:
    masker = Masker(secrets)
    assert masker.text(text).encode() == run_masker(secrets, text.encode(), 1000)
    assert masker.holds_secret(text) == (masker.text(text) != text)


def test_twice_encoded_text_is_documented_not_to_be_found() -> None:
    twice = base64.b64encode(base64.b64encode(b"hunter2hunter2")).decode()
    assert Masker(["hunter2hunter2"]).text(twice) == twice


def test_throughput_with_twenty_secrets() -> None:
    rnd = random.Random(7)
    secrets = ["".join(rnd.choices("ABCdef0123456789-_/+", k=rnd.randint(12, 40))) for _ in range(20)]
    masker = Masker(secrets)
    data = b"tests/unit/test_thing.py::test_value[param-1] PASSED  [ 12%] 0.003s\n" * 60_000
    started = time.process_time()
    for at in range(0, len(data), 65536):
        masker.feed(data[at : at + 65536])

    assert len(data) / (time.process_time() - started) > 10_000_000, "20 MB/s on an idle machine"


def test_secret_repeated_without_end_is_no_trap() -> None:
    masker = Masker(["a" * 8])
    started = time.process_time()
    shown = b"".join(masker.feed(b"a" * 65536) for _ in range(50)) + masker.flush()

    assert shown == b"***"
    assert time.process_time() - started < 1
