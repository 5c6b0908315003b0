"""Where plugins come from: installed distributions, files; and never the current folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cicdctl.errors import PluginError, UsageError
from cicdctl.plugin_skeleton import write_skeleton
from cicdctl.plugin_sources import find_installed, import_file, install_command, remove_command

ROOT = Path(__file__).parents[2]


def install(source: Path, target: Path) -> None:
    """Install as `cicdctl plugins install` does, but into a folder and without the network."""
    argv = [*install_command(str(source)), "--target", str(target), "--no-deps", "--no-build-isolation", "--quiet"]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PIP_NO_INDEX": "1"})
    assert done.returncode == 0, done.stderr


def fake_distribution(folder: Path, entry_points: str, name: str = "cicdctl_x-1.2.dist-info") -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "entry_points.txt").write_text(entry_points)
    return folder


def python(*arguments: str, path: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{ROOT}"}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, env=env)


LOAD = """
from cicdctl.plugin_manager import PluginManager
manager = PluginManager()
manager.load_installed()
manager.check()
print(manager.names(), [kind.name for kind in manager.ask("cicdctl_stages")])
"""


def test_the_example_is_installed_found_and_works(tmp_path):
    install(ROOT / "plugins" / "cicdctl-example", tmp_path / "site")
    done = python("-c", LOAD, path=tmp_path / "site", cwd=tmp_path)
    assert done.stdout == "{'example': 'cicdctl-example 0.1.0'} ['python']\n", done.stderr
    # Away from this checkout, whose pytest settings are not the plugin's.
    tests = shutil.copytree(ROOT / "plugins" / "cicdctl-example" / "tests", tmp_path / "tests")
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests), path=tmp_path / "site", cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_a_new_skeleton_is_installed_and_its_test_passes(tmp_path):
    paths = write_skeleton("my-thing", tmp_path)
    install(tmp_path / "cicdctl-my-thing", tmp_path / "site")
    done = python("-c", LOAD, path=tmp_path / "site", cwd=tmp_path)
    assert done.stdout == "{'my-thing': 'cicdctl-my-thing 0.1.0'} ['my-thing']\n", done.stderr
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(paths[-1]), path=tmp_path / "site", cwd=tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["", "My", "a b", "../x", "a--b", "-a", "1a"])
def test_a_bad_name_writes_nothing(tmp_path, name):
    with pytest.raises(UsageError):
        write_skeleton(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_skeleton_overwrites_nothing(tmp_path):
    write_skeleton("x", tmp_path)
    with pytest.raises(UsageError, match="exists already"):
        write_skeleton("cicdctl-x", tmp_path)


def test_entry_points_are_read_as_specified(tmp_path):
    text = "[console_scripts]\na = b:c\n\n[cicdctl]\n# note\nx = pkg.mod : attr [extra]\ny=other\n[z]\nq = r\n"
    fake_distribution(tmp_path, text)
    found = find_installed([str(tmp_path)])
    assert [(p.name, p.target, p.distribution, p.version) for p in found] == [
        ("x", "pkg.mod:attr", "cicdctl-x", "1.2"),
        ("y", "other", "cicdctl-x", "1.2"),
    ]


def test_ours_agrees_with_the_standard_library(tmp_path, monkeypatch):
    from importlib.metadata import distributions

    fake_distribution(tmp_path, "[cicdctl]\nx = pkg:attr\n[other]\nz = q\n")
    (tmp_path / "cicdctl_x-1.2.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: cicdctl-x\nVersion: 1.2\n")
    theirs = [(e.name, e.value, d.name, d.version) for d in distributions(path=[str(tmp_path)]) for e in d.entry_points
              if e.group == "cicdctl"]
    assert [(p.name, p.target, p.distribution, p.version) for p in find_installed([str(tmp_path)])] == theirs


def test_nothing_in_the_current_folder_becomes_a_plugin(tmp_path, monkeypatch):
    """A repository may hold a dist-info folder; `python -m cicdctl` has the current folder on its path."""
    fake_distribution(tmp_path, "[cicdctl]\nevil = evil\n")
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert find_installed(["", ".", str(tmp_path), str(tmp_path / "link")]) == ()


def test_looking_for_plugins_where_there_are_none_is_quick(tmp_path):
    for n in range(100):
        fake_distribution(tmp_path, "[console_scripts]\na = b:c\n", f"pkg{n}-1.dist-info")
    find_installed([str(tmp_path)])
    started = time.perf_counter()
    assert find_installed([str(tmp_path), "/nowhere", __file__]) == ()
    assert time.perf_counter() - started < 0.02


def test_a_run_without_plugins_imports_neither_pluggy_nor_metadata(tmp_path):
    code = LOAD.replace('print(', 'import sys; print({"pluggy", "importlib.metadata", "queue"} & set(sys.modules)); (')
    assert python("-c", code, path=tmp_path, cwd=tmp_path).stdout == "set()\n"


@pytest.mark.parametrize(
    ("target", "problem"),
    [("nowhere_at_all", "ModuleNotFoundError"), ("broken", "ZeroDivisionError: division by zero"), ("os:nothing", "AttributeError")],
)
def test_an_installed_plugin_that_does_not_load_is_named(make_manager, tmp_path, monkeypatch, target, problem):
    fake_distribution(tmp_path, f"[cicdctl]\nx = {target}\n")
    (tmp_path / "broken.py").write_text("\n1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError) as caught:
        make_manager().load_installed()
    assert f'plugin "x" of cicdctl-x 1.2 does not load: {problem}' in str(caught.value)
    assert caught.value.hint == 'update it, or remove it with "cicdctl plugins remove cicdctl-x"'
    if target == "broken":
        assert f"({tmp_path / 'broken.py'}:2)" in str(caught.value)
    make_manager(False, {"disabled": ["x"]}).load_installed()


FILE = """
from cicdctl.plugin_api import hookimpl
heard = []

@hookimpl
def cicdctl_warning(text):
    heard.append(text)
"""


def test_a_file_is_a_plugin(make_manager, tmp_path):
    (tmp_path / "my_plugin.py").write_text(FILE)
    manager = make_manager()
    manager.load_file(tmp_path / "my_plugin.py")
    manager.announce("cicdctl_warning", text="x")
    assert manager.names() == {"my_plugin": str(tmp_path / "my_plugin.py")}
    assert sys.modules["cicdctl_file_plugin_my_plugin"].heard == ["x"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("def (", r"SyntaxError: .*\(.*bad.py:1\)"), ("import nowhere_at_all", "ModuleNotFoundError"), (None, "there is no plugin file")],
)
def test_a_file_that_does_not_load_is_named(make_manager, tmp_path, text, problem):
    path = tmp_path / "bad.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PluginError, match=problem):
        make_manager().load_file(path)


def test_the_commands_that_install_and_remove():
    assert install_command("cicdctl-x")[-2:] == ("install", "cicdctl-x")
    assert remove_command("cicdctl-x")[-3:] == ("uninstall", "cicdctl-x", "--yes")
    with pytest.raises(UsageError):
        install_command("--index-url=http://evil")


def test_plugin_file_leaves_nothing_beside_it(tmp_path):
    """A working tree stays as it was: no bytecode, which the next snapshot would take for a change."""
    path = tmp_path / "ci" / "mine.py"
    path.parent.mkdir()
    path.write_text("VALUE = 1\n")
    assert import_file(path).VALUE == 1
    path.write_text("VALUE = 22\n")
    assert import_file(path).VALUE == 22
    assert [entry.name for entry in path.parent.iterdir()] == ["mine.py"]
