"""Dependency caches: kept by key, older ones as a start, apart by trust, within their limit."""

from __future__ import annotations

import os
import time

import pytest

from cicdctl.store.dependency_cache import DependencyCaches


@pytest.fixture
def caches(tmp_path):
    return DependencyCaches(tmp_path / "cache")


def tree(root, **files: str):
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_saved_folder_comes_back_with_modes_times_and_links(caches, tmp_path) -> None:
    source = tree(tmp_path / "one", venv__bin__tool="#!/bin/sh", venv__lib__a="a", other="no")
    (source / "venv/bin/tool").chmod(0o755)
    (source / "venv/bin/python").symlink_to("/usr/bin/python3")
    (source / "venv/empty").mkdir()
    os.utime(source / "venv/lib/a", ns=(5, 1_600_000_000_123_456_789))
    assert caches.save("unit", "key", ["venv"], source)

    (tmp_path / "two").mkdir()
    assert caches.restore("unit", "key", ["venv"], tmp_path / "two") == "exact"
    there = tmp_path / "two/venv"
    assert (there / "bin/tool").stat().st_mode & 0o777 == 0o755
    assert os.readlink(there / "bin/python") == "/usr/bin/python3"
    assert (there / "empty").is_dir()
    assert (there / "lib/a").stat().st_mtime_ns == 1_600_000_000_123_456_789
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["venv"]
    assert caches.warnings == []


def test_stage_may_write_without_changing_the_copy(caches, tmp_path) -> None:
    caches.save("unit", "key", ["d"], tree(tmp_path / "one", d__a="kept"))
    for name in ("two", "three"):
        (tmp_path / name).mkdir()
        caches.restore("unit", "key", ["d"], tmp_path / name)
        assert (tmp_path / name / "d/a").read_text() == "kept"
        (tmp_path / name / "d/a").write_text("changed")


def test_most_recent_older_key_of_the_same_stage_is_a_start(caches, tmp_path) -> None:
    for key in ("first", "second"):
        caches.save("unit", key, ["d"], tree(tmp_path / key, d__a=key))
        time.sleep(0.02)
    caches.save("lint", "third", ["d"], tree(tmp_path / "third", d__a="third"))
    (tmp_path / "out").mkdir()

    assert caches.restore("unit", "changed lock file", ["d"], tmp_path / "out") == "older"
    assert (tmp_path / "out/d/a").read_text() == "second"
    assert caches.restore("unit", "first", ["d"], tmp_path / "out") == "exact"
    assert (tmp_path / "out/d/a").read_text() == "first"
    assert caches.restore("unit", "first", ["other paths"], tmp_path / "out") is None


def test_key_is_saved_once(caches, tmp_path) -> None:
    assert caches.save("unit", "key", ["d"], tree(tmp_path / "one", d__a="first"))
    assert not caches.save("unit", "key", ["d"], tree(tmp_path / "two", d__a="second"))
    assert not caches.save("unit", "other", ["missing"], tmp_path / "one")
    assert len(caches.list_all()) == 1
    assert not list((tmp_path / "cache/deps/tmp").iterdir())


def test_untrusted_copies_never_reach_trusted_runs(caches, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    caches.save("unit", "key", ["d"], tree(tmp_path / "one", d__a="evil"), trust="untrusted")
    assert caches.restore("unit", "key", ["d"], tmp_path / "out") is None
    assert caches.restore("unit", "key", ["d"], tmp_path / "out", trust="untrusted") == "exact"

    caches.save("unit", "main", ["d"], tree(tmp_path / "two", d__a="good"))
    assert caches.restore("unit", "main", ["d"], tmp_path / "out", trust="untrusted") == "exact"
    assert (tmp_path / "out/d/a").read_text() == "good"


@pytest.mark.parametrize("path", ["../up", "/etc", ".git", "a/../..", "", "sub/.git/hooks"])
def test_hostile_path_is_refused(caches, tmp_path, path) -> None:
    tree(tmp_path / "one", up="x")
    (tmp_path / "up").mkdir()
    assert not caches.save("unit", "key", [path], tmp_path / "one")
    assert "refused" in caches.warnings[0]
    assert caches.list_all() == []


def test_links_are_neither_followed_out_nor_in(caches, tmp_path) -> None:
    secret = tree(tmp_path / "secret", key="secret")
    source = tree(tmp_path / "one", d__a="a")
    (source / "d/link").symlink_to(secret)
    (source / "up").symlink_to(secret)
    assert caches.save("unit", "key", ["d", "up/key"], source)
    saved = [path for path in (tmp_path / "cache/deps").rglob("*") if path.is_file() and not path.is_symlink()]
    assert not any(path.read_text() == "secret" for path in saved)

    target = tmp_path / "target"
    target.mkdir()
    (target / "d").symlink_to(secret)
    assert caches.restore("unit", "key", ["d", "up/key"], target) == "exact"
    assert sorted(path.name for path in secret.iterdir()) == ["key"]
    assert (target / "d/a").read_text() == "a"


def test_limit_evicts_what_was_used_longest_ago(tmp_path) -> None:
    caches = DependencyCaches(tmp_path / "cache", max_size_bytes=2500)
    for number in range(4):
        caches.save("unit", f"key {number}", ["d"], tree(tmp_path / f"in{number}", d__a="x" * 1000))
        time.sleep(0.02)
    (tmp_path / "out").mkdir()
    caches.restore("unit", "key 0", ["d"], tmp_path / "out")

    assert len(caches.evict(dry_run=True)) == 2
    assert len(caches.list_all()) == 4
    gone = caches.evict()
    assert [one.size_bytes for one in gone] == [1000, 1000]
    assert caches.restore("unit", "key 0", ["d"], tmp_path / "out") == "exact"
    assert caches.restore("unit", "key 3", ["d"], tmp_path / "out") == "exact"
    assert caches.restore("unit", "key 1", ["d"], tmp_path / "out") == "older"
    assert not caches.save("unit", "huge", ["d"], tree(tmp_path / "huge", d__a="x" * 3000))


def test_trouble_is_a_warning_and_half_a_copy_is_removed(caches, tmp_path) -> None:
    caches.save("unit", "key", ["d"], tree(tmp_path / "one", d__a="a", d__b__c="c"))
    target = tmp_path / "target"
    (target / "d/a/precious").mkdir(parents=True)

    assert caches.restore("unit", "key", ["d"], target) is None
    assert "caches were not restored" in caches.warnings[0]
    assert not (target / "d").exists()
