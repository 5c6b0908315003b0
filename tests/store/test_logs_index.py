"""The line index against the plain definition of a line, and reading windows, tails and growing logs."""

from __future__ import annotations

import hashlib
import struct
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cicdctl.errors import StoreError
from cicdctl.store.line_index import ENTRY, LINES_PER_ENTRY, MAX_LINE_BYTES, LineCounter, split_lines
from cicdctl.store.log_reader import LogReader
from cicdctl.store.log_times import LineTimes, read_times, times_path
from cicdctl.store.log_writer import LogWriter, index_path

# Long lines around the limit, many short ones, no newline at the end, carriage returns and binary.
_PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"\n", b"\n" * 70, b"line\n" * 130, b"a\rb\r\n", b"\0\xff\n"]),
    st.sampled_from([MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 3 * MAX_LINE_BYTES]).map(
        lambda n: b"x" * n
    ),
)
_TEXT = st.lists(_PIECES, max_size=12).map(b"".join)


def plain_lines(data: bytes) -> list[bytes]:
    """The definition, written to be obvious: 16 KB of content make a line, a newline ends it."""
    lines: list[bytes] = []
    for line in data.split(b"\n"):
        pieces = [line[at : at + MAX_LINE_BYTES] for at in range(0, len(line), MAX_LINE_BYTES)] or [b""]
        pieces[-1] += b"\n"
        lines += pieces
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        chunks.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return chunks


@given(_TEXT)
def test_split_lines_is_the_definition(data: bytes) -> None:
    assert split_lines(data) == plain_lines(data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(data=_TEXT, sizes=st.lists(st.sampled_from([7, 100, 8192, 20_000, 65_536]), min_size=1, max_size=3))
def test_counter_equals_plain_lines_at_any_chunking(data: bytes, sizes: list[int]) -> None:
    counter = LineCounter()
    starts = [start for chunk in cut(data, sizes) for start in counter.feed(chunk)]

    expected = plain_lines(data)
    offsets = [0]
    for line in expected:
        offsets.append(offsets[-1] + len(line))
    assert counter.lines + counter.open_line == len(expected)
    # An entry may point at the very end, where the next line will begin.
    assert starts == [offset for offset in offsets[LINES_PER_ENTRY::LINES_PER_ENTRY]][: len(starts)]
    assert len(starts) in (len(expected) // LINES_PER_ENTRY, len(offsets[:-1]) // LINES_PER_ENTRY)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    data=_TEXT,
    size=st.sampled_from([1000, 65_536]),
    first=st.integers(0, 400),
    count=st.integers(0, 300),
    index=st.sampled_from(["whole", "missing", "torn", "garbage", "zeros"]),
)
def test_windows_and_tails_equal_plain_lines(tmp_path_factory, data, size, first, count, index) -> None:
    """With a whole, missing, torn or foreign index. A foreign one is impossible here, so it is not believed."""
    path = tmp_path_factory.mktemp("log") / "a.log"
    with LogWriter(path) as writer:
        for chunk in cut(data, [size]):
            writer.write(chunk)
    damage_index(path, index)
    reader, lines = LogReader(path), plain_lines(data)

    assert reader.count() == len(lines)
    assert reader.window(first, count) == b"".join(lines[first : first + count])
    wanted = lines[max(0, len(lines) - count) :]
    assert reader.tail(count) == [line.removesuffix(b"\n") for line in wanted]


def damage_index(path, how: str) -> None:
    index = index_path(path)
    if how == "missing":
        index.unlink()
    elif how == "torn":
        index.write_bytes(index.read_bytes()[: -ENTRY.size // 2])
    elif how == "garbage":
        index.write_bytes(struct.pack("<QI", 2**63, 5) * 5)
    elif how == "zeros":
        index.write_bytes(b"\0" * ENTRY.size * 5)


def test_log_is_the_bytes_as_they_came_with_their_digest(tmp_path) -> None:
    data = bytes(range(256)) * 500
    with LogWriter(tmp_path / "a.log") as writer:
        for chunk in cut(data, [1, 4096, 77]):
            writer.write(chunk)
        info = writer.close()

    assert (tmp_path / "a.log").read_bytes() == data
    assert info.digest == hashlib.sha256(data).hexdigest()
    assert (info.size, info.truncated) == (len(data), False)
    assert (tmp_path / "a.log").stat().st_mode & 0o777 == 0o600


def test_index_has_an_offset_and_milliseconds_every_64_lines(tmp_path) -> None:
    with LogWriter(tmp_path / "a.log") as writer:
        writer.write(b"0123456789\n" * 200)

    entries = list(ENTRY.iter_unpack(index_path(tmp_path / "a.log").read_bytes()))
    assert [offset for offset, _ in entries] == [0, 64 * 11, 128 * 11, 192 * 11]
    assert all(at_ms < 10_000 for _, at_ms in entries)


def test_lines_have_the_time_they_began_at(tmp_path) -> None:
    """A tenth of a second is told apart; a log without times, or with foreign ones, is read all the same."""
    log, began = tmp_path / "a.log", time.time()
    with LogWriter(log) as writer:
        writer.write(b"first\nfirst\nopen")
        time.sleep(0.25)
        writer.write(b" closed\nsecond\n")
        for _ in range(2000):
            writer.write(b"many\n")

    def times(first: int, count: int) -> LineTimes | None:
        window = LogReader(log).look(first, count)
        return read_times(log, window.start, window.lines)

    found = times(0, 4)
    assert found is not None
    assert began - 0.01 <= found.opened_at <= time.time()
    assert found.since_s[0] == found.since_s[1] == found.since_s[2] <= found.since_s[3] - 0.2
    assert times(3, 1) == LineTimes(found.opened_at, found.since_s[3:])
    everything, middle, beyond = times(0, 9999), times(1000, 7), times(9999, 5)
    assert everything is not None and middle is not None and beyond is not None
    assert list(everything.since_s) == sorted(everything.since_s) and len(everything.since_s) == 2004
    assert middle.since_s == everything.since_s[1000:1007]
    assert beyond.since_s == ()
    # Ten a second at most, however often something is written.
    assert times_path(log).stat().st_size <= 8 + 12 * (2 + (time.time() - began) * 10)
    assert times_path(log).stat().st_mode & 0o777 == 0o600

    times_path(log).write_bytes(times_path(log).read_bytes()[:-5])
    assert times(0, 1) == LineTimes(found.opened_at, found.since_s[:1])
    for damage in (b"", b"\xff" * 40):
        times_path(log).write_bytes(damage)
        assert times(0, 4) is None
    times_path(log).unlink()
    assert times(0, 4) is None


def test_growing_log_is_followed(tmp_path) -> None:
    reader, offset, seen = LogReader(tmp_path / "a.log"), 0, b""
    with LogWriter(tmp_path / "a.log") as writer:
        for number in range(300):
            writer.write(b"line %d\n" % number)
            piece = reader.follow(offset, 5)
            seen, offset = seen + piece, offset + len(piece)
            assert reader.tail(1) == [b"line %d" % number]
        while piece := reader.follow(offset):
            seen, offset = seen + piece, offset + len(piece)
    assert seen == b"".join(b"line %d\n" % number for number in range(300))


def test_search_tells_line_and_offset(tmp_path) -> None:
    data = b"".join(b"needle %d\n" % n if n % 97 == 0 else b"hay\n" for n in range(1000)) + b"x" * 40_000 + b"needle"
    with LogWriter(tmp_path / "a.log") as writer:
        writer.write(data)

    found = LogReader(tmp_path / "a.log").search(b"needle")
    lines = plain_lines(data)
    assert [match.line for match in found] == [n for n, line in enumerate(lines) if b"needle" in line]
    assert all(data[match.offset :].startswith(b"needle") for match in found)
    assert len(LogReader(tmp_path / "a.log").search(b"needle", limit=3)) == 3


def test_search_finds_a_needle_across_chunks(tmp_path) -> None:
    with LogWriter(tmp_path / "a.log") as writer:
        writer.write(b"x\n" * (512 * 1024 - 1) + b"zneedle\n")

    assert [match.offset for match in LogReader(tmp_path / "a.log").search(b"needle")] == [1024 * 1024 - 1]


def test_link_in_place_of_a_log_is_not_followed(tmp_path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "a.log").symlink_to(tmp_path / "secret")

    with pytest.raises(StoreError, match=r"no log"):
        LogReader(tmp_path / "a.log").tail(1)
    with pytest.raises(FileExistsError):
        LogWriter(tmp_path / "a.log")
