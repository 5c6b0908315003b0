"""The index writer: git must read what we write, and a splice equals a new build."""

from __future__ import annotations

import os
import struct

import pytest

from cicdctl.errors import GitError
from cicdctl.git.worktree_index import WorktreeIndex, build_index, stat_words, submodule_words


def head_of(tmp_path, number: int, mode: int = 0o100644) -> bytes:
    file = tmp_path / "f"
    file.write_bytes(b"x" * number)
    return stat_words(os.stat(file), mode) + bytes([number]) * 20


def test_entries_and_trees_come_back_as_they_were_given(tmp_path):
    paths = [b"a", b"a-b", b"a.b", b"a0/x", b"ab/c/d", b"ab/e", b"long/" + b"n" * 250, b"z\xff\n"]
    entries = {path: head_of(tmp_path, number) for number, path in enumerate(sorted(paths), 1)}
    trees = {folder: bytes([number]) * 20 for number, folder in enumerate([b"", b"a0", b"ab", b"ab/c", b"long"], 50)}

    index = WorktreeIndex(build_index(sorted(entries.items()), trees, 20).data, 20)

    assert index.entries() == entries
    assert index.trees() == trees
    assert index.is_intact()


def test_a_splice_equals_a_new_build(tmp_path):
    paths = [b"b.txt", b"a/b.txt", b"a/c", b"a/aa/b.txt"]
    entries = {path: head_of(tmp_path, number) for number, path in enumerate(sorted(paths), 1)}
    trees = {b"": b"r" * 20, b"a": b"s" * 20, b"a/aa": b"t" * 20}
    index = build_index(sorted(entries.items()), trees, 20)
    new_entries = {**entries, b"b.txt": head_of(tmp_path, 77), b"a/b.txt": head_of(tmp_path, 78)}
    new_trees = {**trees, b"": b"R" * 20, b"a": b"S" * 20}

    changed = {path: new_entries[path] for path in (b"b.txt", b"a/b.txt")}
    ids = {path: entries[path][40:] for path in changed}
    spliced = index.with_words(changed, ids, {b"": b"R" * 20, b"a": b"S" * 20})

    assert spliced is not None
    assert spliced.data == build_index(sorted(new_entries.items()), new_trees, 20).data


def test_a_splice_of_an_unknown_path_is_not_attempted(tmp_path):
    index = build_index([(b"a/b", head_of(tmp_path, 1))], {b"": b"r" * 20, b"a": b"s" * 20}, 20)
    assert index.with_words({b"b": head_of(tmp_path, 2)}, {}, {}) is None
    assert index.with_words({}, {}, {b"c": b"x" * 20}) is None


@pytest.mark.parametrize("id_bytes", [20, 32])
def test_an_entry_may_begin_with_nuls(id_bytes):
    """Submodules and entries git takes for racy have no times; paths of each length stand before one."""
    head = submodule_words() + b"m" * id_bytes
    entries = {b"p" * length: head for length in range(1, 40)}

    index = WorktreeIndex(build_index(entries.items(), {}, id_bytes).data, id_bytes)

    assert index.entries() == entries


def test_a_splice_is_not_led_astray_by_stat_words(tmp_path):
    """The words of `B` hold what looks like the flags and the path of `a`."""
    lure = struct.pack(">10I", 1, 0, 1, 0, 1, 1, 0o100644, 0, 0, 0x00016100) + bytes([0xB]) * 20
    entries = {b"A": head_of(tmp_path, 1), b"B": lure, b"C": head_of(tmp_path, 3), b"a": head_of(tmp_path, 4)}
    index = build_index(entries.items(), {}, 20)
    new = {b"a": head_of(tmp_path, 5)}

    spliced = index.with_words(new, {b"a": entries[b"a"][40:]}, {})

    assert spliced is not None
    assert spliced.data == build_index({**entries, **new}.items(), {}, 20).data


def test_damage_is_noticed(tmp_path):
    index = build_index([(b"a", head_of(tmp_path, 1)), (b"b", head_of(tmp_path, 2))], {}, 20)
    damaged = bytearray(index.data)
    damaged[11] = 3
    assert not WorktreeIndex(bytes(damaged), 20).is_intact()
    with pytest.raises(GitError, match="damaged"):
        WorktreeIndex(bytes(damaged), 20).entries()


def test_an_index_without_entries_is_read_by_git(make_git):
    git = make_git()
    (git.path / ".git" / "index").write_bytes(build_index((), {}, 20).data)
    assert git.text("ls-files") == ""
