"""Results by key: hits, misses, trust, damage, hostile rows, many processes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing

import pytest

from cicdctl.model import StageResult, Verdict
from cicdctl.store import lock
from cicdctl.store.cache import CachedResult, open_cache, row_key

KEY = "k" * 64
HOST_KEY = b"h" * 32


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def cache(folder):
    with make(folder) as opened:
        yield opened


def make(folder, *, ttl_s=None, max_size_bytes=10**9, host_key=HOST_KEY):
    return open_cache(folder, max_size_bytes=max_size_bytes, ttl_s=ttl_s, host_key=host_key)


def entry(stage: str = "unit", *, summary: str = "", trust: str = "trusted", created_at: float | None = None):
    result = StageResult(stage=stage, verdict=Verdict.PASSED, summary=summary, components={"z": "1", "a": "2"})
    return CachedResult(result=result, created_at=time.time() if created_at is None else created_at, trust=trust)


def sql(folder, statement: str, *values) -> None:
    connection = sqlite3.connect(folder / "results/cache.db")
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_what_was_put_is_found_by_another_process_too(cache, folder) -> None:
    assert cache.get(KEY) is None
    stored = entry(summary="half a pair \ud800".encode("utf-8", "replace").decode())
    cache.put(KEY, stored)

    assert cache.get(KEY) == stored
    with make(folder) as other:
        assert other.get(KEY) == stored
        assert other.get("x" * 64) is None
    assert cache.warnings == []
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "results").stat().st_mode & 0o777 == 0o700


def test_get_imports_no_diskcache_and_is_quick(cache, folder) -> None:
    """Three look-ups in a new process; 2 ms on a quiet machine, the best of three on a busy one."""
    for number in range(3):
        cache.put(f"{number:064}", entry())
    cache.close()
    code = """
        import sys, time
        from pathlib import Path
        from cicdctl.store.cache import open_cache
        began = time.perf_counter()
        cache = open_cache(Path(sys.argv[1]), max_size_bytes=10**9, ttl_s=None, host_key=b"h" * 32)
        assert all(cache.get(f"{number:064}") for number in range(3))
        cache.close()
        print("diskcache" in sys.modules, time.perf_counter() - began)
    """
    answers = [child(code, folder).split() for _ in range(3)]
    assert {imported for imported, _ in answers} == {"False"}
    assert min(float(seconds) for _, seconds in answers) < 0.02


def child(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_large_entry_goes_to_a_blob(cache, folder) -> None:
    stored = entry(summary="s" * 100_000)
    cache.put(KEY, stored)
    assert cache.get(KEY) == stored
    assert cache.stats().blobs == 1
    assert not list((folder / "results").glob("*/*/*.val"))


def test_untrusted_results_never_reach_a_trusted_run(cache) -> None:
    cache.put(KEY, entry("evil", trust="untrusted"))
    assert cache.get(KEY) is None
    assert cache.get(KEY, trust="untrusted").result.stage == "evil"

    cache.put(KEY, entry("good"))
    assert cache.get(KEY).result.stage == "good"
    assert cache.get(KEY, trust="untrusted").result.stage == "evil"
    cache.put("n" * 64, entry("good"))
    assert cache.get("n" * 64, trust="untrusted").result.stage == "good"


def test_row_moved_to_the_other_namespace_is_damage(cache, folder) -> None:
    cache.put(KEY, entry("evil", trust="untrusted"))
    sql(folder, "UPDATE Cache SET key = ?", row_key(KEY, "trusted"))
    assert cache.get(KEY) is None
    assert "damaged" in cache.warnings[0]


def test_expired_result_is_a_miss_but_not_after_the_clock_went_back(folder) -> None:
    with make(folder, ttl_s=60) as cache:
        cache.put(KEY, entry(created_at=time.time() - 61))
        assert cache.get(KEY) is None
        cache.put(KEY, entry(created_at=time.time() + 86_400))
        assert cache.get(KEY) is not None


def test_flipped_byte_is_a_miss_and_goes_to_quarantine(cache, folder) -> None:
    for position in (0, 1, 20, 33, 60):
        cache.put(KEY, entry())
        ((value,),) = sqlite3.connect(folder / "results/cache.db").execute("SELECT value FROM Cache").fetchall()
        flipped = bytearray(value)
        flipped[position] ^= 1
        sql(folder, "UPDATE Cache SET value = ?", bytes(flipped))

        assert cache.get(KEY) is None
        assert cache.index.rows() == []
    assert len(list((folder / "quarantine").iterdir())) == 5


def test_entries_of_another_host_are_damage(cache, folder) -> None:
    cache.put(KEY, entry())
    with make(folder, host_key=b"other" * 8) as other:
        assert other.get(KEY) is None
        assert other.warnings


class Bomb:
    """Its pickle creates a file where it is read."""

    def __init__(self, path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


HOSTILE = ["pickled value", "pickled key", "absolute file", "parent folder"]


@pytest.mark.parametrize("row", HOSTILE)
@pytest.mark.parametrize("how", ["get", "gc", "verify", "put", "clear"])
def test_hostile_row_has_no_effect(cache, folder, tmp_path, row, how) -> None:
    plant(cache, folder, tmp_path, row)

    found = cache.get(KEY)
    if how == "get":
        cache.get("pickle")
    elif how == "put":
        cache.put(KEY, entry())
    else:
        getattr(cache, how)()

    assert found is None or row == "pickled key"
    assert not (tmp_path / "ran").exists()
    assert (tmp_path / "victim").read_bytes() == b"secret"
    quarantine = folder / "quarantine"
    kept = [path.read_bytes() for path in quarantine.iterdir()] if quarantine.exists() else []
    assert not any(b"secret" in content for content in kept)


def plant(cache, folder, tmp_path, row: str) -> None:
    import pickle

    (tmp_path / "victim").write_bytes(b"secret")
    bomb = pickle.dumps(Bomb(tmp_path / "ran"))
    cache.put(KEY, entry())
    if row == "pickled value":
        sql(folder, "UPDATE Cache SET mode = 4, value = ?", bomb)
    elif row == "pickled key":
        sql(folder, "INSERT INTO Cache (key, raw, mode, value) VALUES (?, 0, 1, ?)", bomb, b"x")
    else:
        name = str(tmp_path / "victim") if row == "absolute file" else "../../victim"
        sql(folder, "UPDATE Cache SET mode = 2, filename = ?, value = NULL", name)


@pytest.mark.parametrize("row", HOSTILE)
def test_safe_disk_refuses_hostile_rows_by_itself(cache, folder, tmp_path, row) -> None:
    """The same through diskcache alone, in every call that touches rows."""
    import diskcache

    from cicdctl.store.safe_disk import RefusedRow, SafeDisk

    plant(cache, folder, tmp_path, row)
    cache.close()
    name = row_key(KEY, "trusted")
    with diskcache.Cache(str(folder / "results"), disk=SafeDisk) as raw:
        if row == "pickled key":
            with pytest.raises(RefusedRow):
                list(raw)
        else:
            with pytest.raises(RefusedRow):
                raw.get(name)
        if row in ("absolute file", "parent folder"):
            with pytest.raises(RefusedRow):
                del raw[name]
    assert not (tmp_path / "ran").exists()
    assert (tmp_path / "victim").read_bytes() == b"secret"


def test_safe_disk_takes_bytes_only_and_large_ones_make_the_round_trip(tmp_path) -> None:
    import io

    import diskcache

    from cicdctl.store.safe_disk import SafeDisk

    with diskcache.Cache(str(tmp_path / "raw"), disk=SafeDisk) as raw:
        for wrong in (True, None, 1, "text", (b"a",), {}):
            with pytest.raises(TypeError):
                raw[b"key"] = wrong
            with pytest.raises(TypeError):
                raw[wrong] = b"value"
        large = os.urandom(100_000)
        raw[b"large"] = large
        assert raw[b"large"] == large
        with raw.read(b"large") as handle:
            assert handle.read() == large
        raw.set(b"handle", io.BytesIO(large), read=True)
        assert raw[b"handle"] == large
        del raw[b"large"]
        assert list(raw) == [b"handle"]


@pytest.mark.parametrize(
    "name", ["disk_pickle_protocol", "sqlite_mmap_size", "sqlite_temp_store_directory", "surprise"]
)
def test_foreign_settings_are_not_obeyed(cache, folder, name) -> None:
    """diskcache turns these rows into pragmas and arguments when it opens the file."""
    cache.put(KEY, entry())
    cache.close()
    sql(folder, "INSERT OR REPLACE INTO Settings VALUES (?, ?)", name, "/tmp/evil")
    with make(folder) as again:
        again.put(KEY, entry())
        assert "damaged" in again.warnings[0]
        again.put(KEY, entry())
        assert again.get(KEY) is not None
    assert len(list((folder / "quarantine").iterdir())) == 1


@pytest.mark.parametrize("damage", ["header", "short", "middle", "no table", "empty folder in the way"])
def test_damaged_index_is_replaced_by_an_empty_one(cache, folder, damage) -> None:
    for number in range(300):
        cache.put(f"{number:064}", entry(summary="s" * 500))
    cache.close()
    file = folder / "results/cache.db"
    data = file.read_bytes()
    if damage == "header":
        file.write_bytes(b"\0" * 100 + data[100:])
    elif damage == "short":
        file.write_bytes(data[: len(data) // 2 - 7])
    elif damage == "middle":
        file.write_bytes(data[:8192] + b"\x5a" * (len(data) - 8192))
    elif damage == "no table":
        sql(folder, "DROP TABLE Cache")
    else:
        file.unlink()
        file.mkdir()

    with make(folder) as again:
        assert again.get(f"{7:064}") is None
        again.put(KEY, entry())
        again.put(KEY, entry())
        if damage != "empty folder in the way":
            assert again.get(KEY) is not None
        assert again.warnings


def test_missing_and_vanishing_folder(cache, folder) -> None:
    """The cache may vanish at any moment."""
    from shutil import rmtree

    cache.put(KEY, entry())
    assert cache.get(KEY) is not None
    rmtree(folder)
    cache.get(KEY)
    cache.put(KEY, entry())
    cache.close()
    assert cache.get(KEY) in (None, cache.get(KEY))
    assert cache.gc().removals == ()


def test_folder_that_cannot_be_written_costs_one_warning(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with make(tmp_path / "file/cache") as cache:
        for _ in range(3):
            assert cache.get(KEY) is None
            cache.put(KEY, entry())
        assert len(cache.warnings) == 1


@pytest.fixture
def read_only(folder):
    """Make the filled cache folder read-only, for root by a mount of its own."""
    with make(folder) as cache:
        cache.put(KEY, entry())
    if os.getuid() != 0:
        folder.chmod(0o500)
        (folder / "results").chmod(0o500)
        yield folder
        (folder / "results").chmod(0o700)
        folder.chmod(0o700)
        return
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_read_only_folder_costs_one_warning(read_only) -> None:
    with make(read_only) as cache:
        cache.get(KEY)
        cache.put(KEY, entry())
        cache.put(KEY, entry())
        cache.get("x" * 64)
        assert len(cache.warnings) == 1


def test_use_is_noted_at_most_once_an_hour(cache, folder) -> None:
    cache.put(KEY, entry())
    sql(folder, "UPDATE Cache SET access_time = 1000")
    with make(folder) as other:
        other.get(KEY)
    ((_, _, _, used_at),) = cache.index.rows()
    assert time.time() - used_at < 60


WRITER = """
    import sys, time
    from pathlib import Path
    from cicdctl.model import StageResult, Verdict
    from cicdctl.store.cache import CachedResult, open_cache
    me, count = sys.argv[2], int(sys.argv[3])
    cache = open_cache(Path(sys.argv[1]), max_size_bytes=10**9, ttl_s=None, host_key=b"h" * 32)
    for number in range(count):
        entry = CachedResult(result=StageResult(stage=me, verdict=Verdict.PASSED), created_at=time.time())
        cache.put(f"{me}-{number}", entry)
        assert cache.get(f"{me}-{number}") == entry
    cache.close()
    print(cache.warnings)
"""


def contend(folder, processes: int, count: int) -> None:
    code = textwrap.dedent(WRITER)
    started = [
        subprocess.Popen([sys.executable, "-c", code, folder, str(me), str(count)], stdout=subprocess.PIPE, text=True)
        for me in range(processes)
    ]
    assert [process.communicate(timeout=300)[0] for process in started] == ["[]\n"] * processes
    with make(folder) as cache:
        for me in range(processes):
            for number in range(count):
                assert cache.get(f"{me}-{number}").result.stage == str(me)
        assert cache.verify().damaged == ()


def test_four_processes_lose_no_entry(folder) -> None:
    """All open the empty folder at once, too."""
    contend(folder, 4, 50)


@pytest.mark.campaign
def test_sixteen_processes_lose_no_entry(folder) -> None:
    contend(folder, 16, 1000)


def test_index_that_another_process_is_making_is_a_miss_and_stays(tmp_path):
    """A look between the making of the file and of its tables finds nothing, and takes nothing for damaged."""
    warnings: list[str] = []
    folder = tmp_path / "cache"
    with closing(open_cache(folder, max_size_bytes=10**9, ttl_s=None, host_key=b"k" * 32, warnings=warnings)) as cache:
        index = cache.index
        index._folder.mkdir(mode=0o700, parents=True)
        maker = lock(index._lock_file, blocking=True)
        index._file.touch()
        made = threading.Event()

        def make() -> None:
            time.sleep(0.2)
            with closing(open_cache(folder, max_size_bytes=10**9, ttl_s=None, host_key=b"k" * 32)) as other:
                other.index._open_writer()
                maker.release()
                other.index.put(b"key", b"value")
            made.set()

        thread = threading.Thread(target=make)
        thread.start()
        assert index.get(b"key") is None
        thread.join()
        assert made.is_set() and warnings == []
        assert index.get(b"key")[0] == b"value"
        assert not (folder / "quarantine").exists() or not list((folder / "quarantine").iterdir())
