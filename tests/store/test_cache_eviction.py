"""The quota is kept, the floor is not crossed, what is in use stays, and everything is checked on request."""

from __future__ import annotations

import os
import time
from pathlib import Path
from shutil import rmtree

import pytest

from cicdctl.model import Artifact, StageResult, Verdict
from cicdctl.store.blobs import BlobStore
from cicdctl.store.cache import CachedResult, open_cache
from cicdctl.store.state import GreenFloor

HOST_KEY = b"h" * 32
MB = 1_000_000


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def make(folder, *, max_size_bytes=10 * MB, ttl_s=None):
    return open_cache(folder, max_size_bytes=max_size_bytes, ttl_s=ttl_s, host_key=HOST_KEY)


def fill(folder, count: int, size: int, *, age_s: float = 1e6) -> list[str]:
    """Store results with one artifact and a log each, the first used longest ago; return their manifests."""
    manifests = []
    with make(folder) as cache:
        for number in range(count):
            blob = os.urandom(size)
            digest = cache.blobs.add_bytes(blob)
            manifest = cache.blobs.add_manifest([Artifact(path=b"a", mode=0o100644, digest=digest, size_bytes=size)])
            log = cache.blobs.add_bytes(b"log %d" % number)
            result = StageResult(stage="s", verdict=Verdict.PASSED, manifest=manifest)
            at = time.time() - age_s + number
            cache.put(f"key-{number:03}", CachedResult(result=result, log_digest=log, created_at=at))
            cache.index.touch([f"t:key-{number:03}".encode()], at)
            manifests.append(manifest)
    return manifests


def blob_bytes(folder) -> int:
    return sum(path.stat().st_size for path in (folder / "cas").glob("??/*"))


def keys(cache) -> list[str]:
    return sorted(row[0][2:].decode() for row in cache.index.rows())


def test_quota_holds_and_the_latest_used_stay(folder) -> None:
    fill(folder, 30, MB // 2)
    with make(folder, max_size_bytes=5 * MB) as cache:
        planned = cache.gc(dry_run=True)
        assert len(keys(cache)) == 30
        report = cache.gc()
        assert report.removals == planned.removals
        assert 0.85 * 5 * MB < blob_bytes(folder) <= 5 * MB
        assert keys(cache) == [f"key-{number:03}" for number in range(30 - len(keys(cache)), 30)]
        assert {removal.reason for removal in report.removals} == {"used longest ago, over max_size"}
        assert report.freed_bytes == sum(removal.size_bytes for removal in report.removals) > 0
        assert cache.verify().damaged == ()
        assert cache.gc().removals == ()


@pytest.mark.parametrize("kind", ["green floor", "keys", "manifests"])
def test_floor_is_never_crossed(folder, kind) -> None:
    """Though the floor alone is larger than the quota."""
    manifests = fill(folder, 10, MB // 2)
    floor_keys, floor_manifests = frozenset({"key-000", "key-004"}), frozenset({manifests[0], manifests[4]})
    floor = {
        "green floor": GreenFloor(runs=frozenset(), keys=floor_keys, manifests=floor_manifests),
        "keys": floor_keys,
        "manifests": floor_manifests,
    }[kind]
    with make(folder, max_size_bytes=MB // 2, ttl_s=10) as cache:
        cache.gc(floor=floor)
        if kind != "manifests":
            assert keys(cache) == ["key-000", "key-004"]
        for number in (0, 4):
            (artifact,) = cache.blobs.read_manifest(manifests[number])
            assert cache.blobs.has(artifact.digest)
        assert not cache.blobs.has(manifests[1])


def test_expired_go_first_whatever_the_quota(folder) -> None:
    fill(folder, 3, 1000, age_s=100_000)
    with make(folder, max_size_bytes=MB, ttl_s=50_000) as cache:
        cache.put("fresh", CachedResult(result=StageResult(stage="s", verdict=Verdict.PASSED), created_at=time.time()))
        report = cache.gc()
        assert keys(cache) == ["fresh"]
        assert {removal.reason for removal in report.removals} == {"older than ttl"}
        assert blob_bytes(folder) == 0


def test_shared_blob_stays_until_its_last_entry_goes(folder) -> None:
    with make(folder) as cache:
        digest = cache.blobs.add_bytes(b"x" * MB)
        manifest = cache.blobs.add_manifest([Artifact(path=b"a", mode=0o100644, digest=digest, size_bytes=MB)])
        result = StageResult(stage="s", verdict=Verdict.PASSED, manifest=manifest)
        for name, at in (("old", 1.0), ("new", time.time())):
            cache.put(name, CachedResult(result=result, created_at=at))
    with make(folder, ttl_s=1000) as cache:
        cache.gc()
        assert keys(cache) == ["new"]
        assert cache.blobs.has(digest)


def test_what_a_living_process_uses_stays(folder, tmp_path) -> None:
    manifests = fill(folder, 4, MB)
    user = make(folder)
    assert user.get("key-000") is not None
    artifacts = user.blobs.read_manifest(manifests[0])
    with make(folder, max_size_bytes=1000) as cache:
        report = cache.gc()
        assert keys(cache) == ["key-000"]
        assert not {"key-000", *(artifact.digest for artifact in artifacts)} & {one.name for one in report.removals}
        (tmp_path / "out").mkdir()
        user.blobs.restore(artifacts, tmp_path / "out")
        user.close()
        cache.gc()
        assert keys(cache) == []
        assert blob_bytes(folder) == 0
        assert list((folder / "pins").iterdir()) == []


def test_eviction_waits_for_who_is_adding(folder) -> None:
    """Between "it is there" and the pin nothing is removed."""
    import threading

    fill(folder, 1, 10)
    store = BlobStore(folder)
    evictor = threading.Thread(target=lambda: make(folder, max_size_bytes=0).gc())
    with store.pins.using():
        evictor.start()
        evictor.join(0.1)
        assert evictor.is_alive()
        assert blob_bytes(folder) > 0
    evictor.join()
    assert blob_bytes(folder) == 0


def test_pins_of_a_dead_process_hold_nothing(folder) -> None:
    child = os.fork()
    if child == 0:
        BlobStore(folder).add_bytes(b"x" * 1000)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert len(list((folder / "pins").iterdir())) == 1
    with make(folder, max_size_bytes=0) as cache:
        cache.gc()
    assert blob_bytes(folder) == 0
    assert list((folder / "pins").iterdir()) == []


def test_pinned_by_the_caller_stays(folder) -> None:
    manifests = fill(folder, 2, 1000)
    with make(folder, max_size_bytes=0) as cache:
        cache.gc(pinned=[manifests[0], "key-001"])
        assert keys(cache) == ["key-001"]
        assert cache.blobs.has(manifests[0])


def test_logs_and_rows_have_shares_of_their_own(folder) -> None:
    with make(folder) as cache:
        for number in range(8):
            log = cache.blobs.add_bytes(os.urandom(100_000))
            result = StageResult(stage="s", verdict=Verdict.PASSED)
            cache.put(f"log-{number}", CachedResult(result=result, log_digest=log, created_at=time.time()))
        for number in range(40):
            result = StageResult(stage="s", verdict=Verdict.PASSED, summary="s" * 20_000)
            cache.put(f"row-{number:02}", CachedResult(result=result, created_at=time.time()))
    with make(folder, max_size_bytes=2 * MB) as cache:
        report = cache.gc()
        left = keys(cache)
        assert sum(key.startswith("log") for key in left) <= 5
        assert sum(key.startswith("row") for key in left) <= 10
        assert {removal.reason.split(", ")[1] for removal in report.removals} >= {"results over a tenth of max_size"}


def test_only_one_evicts_at_a_time(folder) -> None:
    from cicdctl.store.locks import lock

    fill(folder, 1, 10)
    with lock(folder / "evict.lock", blocking=True), make(folder, max_size_bytes=0) as cache:
        assert cache.gc().busy
        assert len(keys(cache)) == 1


def test_clear_leaves_nothing(folder) -> None:
    fill(folder, 5, 1000)
    with make(folder) as cache:
        before = cache.stats()
        assert (before.entries, before.blobs) == (5, 15)
        cache.clear()
        after = cache.stats()
        assert (after.entries, after.blobs) == (0, 0)


def test_verify_names_what_is_wrong_and_puts_it_aside(folder) -> None:
    manifests = fill(folder, 3, 1000)
    blob = folder / "cas" / manifests[1][:2] / manifests[1]
    blob.chmod(0o644)
    blob.write_bytes(b"other")
    with make(folder) as cache:
        report = cache.verify()
        assert report.checked == 12
        assert report.damaged == (f"blob {manifests[1]}: its content is not what its name says",)
        assert cache.verify().damaged == ()
        assert not cache.blobs.has(manifests[1])


def test_old_quarantine_and_abandoned_files_are_swept(folder) -> None:
    fill(folder, 1, 10)
    (folder / "quarantine/old").mkdir(parents=True)
    (folder / "quarantine/old/file").write_bytes(b"x" * 10)
    (folder / "quarantine/new").write_bytes(b"x")
    (folder / "cas/tmp/dead").write_bytes(b"x")
    (folder / "cas/tmp/alive").write_bytes(b"x")
    for path, days in ((folder / "quarantine/old", 8), (folder / "cas/tmp/dead", 2)):
        os.utime(path, (0, time.time() - days * 86_400))
    with make(folder) as cache:
        report = cache.gc()
    assert sorted(removal.name for removal in report.removals) == ["dead", "old"]
    assert [path.name for path in (folder / "quarantine").iterdir()] == ["new"]
    assert [path.name for path in (folder / "cas/tmp").iterdir()] == ["alive"]


def test_eviction_never_takes_what_is_being_added(folder, tmp_path) -> None:
    """Two stores add and restore the same content again and again while a third evicts everything."""
    import threading

    (tmp_path / "source").mkdir()
    for number in range(5):
        (tmp_path / f"source/{number}").write_bytes(b"%d" % number)
    errors: list[BaseException] = []
    done = threading.Event()

    def work(name: str) -> None:
        try:
            for _ in range(15):
                store = BlobStore(folder)
                artifacts = store.add_tree(tmp_path / "source", lambda path: True)
                out = tmp_path / f"out-{name}"
                out.mkdir()
                store.restore(artifacts, out)
                assert sorted(path.name for path in out.iterdir()) == ["0", "1", "2", "3", "4"]
                rmtree(out)
                store.close()
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    evictor = threading.Thread(target=lambda: [make(folder, max_size_bytes=0).gc() for _ in iter(done.is_set, True)])
    for thread in [*workers, evictor]:
        thread.start()
    for worker in workers:
        worker.join()
    done.set()
    evictor.join()
    assert errors == []


@pytest.mark.campaign
def test_quota_of_one_gigabyte(folder) -> None:
    fill(folder, 300, 5 * MB)
    with make(folder, max_size_bytes=1000 * MB) as cache:
        cache.gc()
        total = cache.stats().total_bytes
    assert 950 * MB < total < 1050 * MB
    rmtree(folder)


def test_a_large_blob_is_not_read_to_find_out_that_it_is_no_manifest(tmp_path: Path) -> None:
    """Looking for what a manifest protects costs no memory for logs."""
    import tracemalloc

    blobs = BlobStore(tmp_path)
    digest = blobs.add_bytes(b"x" * 30_000_000)
    tracemalloc.start()
    try:
        assert blobs.peek_manifest(digest) == frozenset()
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
        blobs.close()
