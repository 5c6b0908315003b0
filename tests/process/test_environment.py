"""The environment is built from nothing."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cicdctl.process import build_environment, path_folders, refused_names
from cicdctl.process.environment import find_toolchains, toolchain_folders

SOURCE = {
    "PATH": "/usr/bin:.:relative::/bin",
    "HOME": "/home/ada",
    "LANG": "C.UTF-8",
    "LC_ALL": "C",
    "TZ": "Asia/Tokyo",
    "USER": "ada",
    "SHELL": "/bin/zsh",
    "TERM": "xterm-256color",
    "GIT_DIR": "/somewhere/.git",
    "LD_PRELOAD": "evil.so",
    "AWS_SECRET_ACCESS_KEY": "key",
    "SSH_AUTH_SOCK": "/run/agent",
    "RUSTUP_HOME": "/opt/rust",
}


def test_exactly_the_documented_names(tmp_path: Path) -> None:
    env = build_environment(SOURCE, home=tmp_path / "h", tmp=tmp_path / "t", real_home=tmp_path)

    assert env == {
        "PATH": "/usr/bin:/bin",
        "HOME": f"{tmp_path}/h",
        "TMPDIR": f"{tmp_path}/t",
        "TERM": "dumb",
        "LANG": "C.UTF-8",
        "LC_ALL": "C",
        "TZ": "Asia/Tokyo",
        "USER": "ada",
        "SHELL": "/bin/zsh",
        "RUSTUP_HOME": "/opt/rust",
    }


def test_from_an_empty_source_programs_can_still_be_found(tmp_path: Path) -> None:
    env = build_environment({}, home=tmp_path, tmp=tmp_path)

    assert set(env) == {"PATH", "HOME", "TMPDIR", "TERM", "USER", "SHELL"}
    assert "/usr/bin" in env["PATH"].split(":")


def test_toolchains_of_the_real_home_are_passed_when_they_exist(tmp_path: Path) -> None:
    (tmp_path / ".nvm").mkdir()
    (tmp_path / ".local/share/mise").mkdir(parents=True)
    env = build_environment({"HOME": str(tmp_path)}, home=tmp_path / "h", tmp=tmp_path)

    assert {name: env.get(name) for name in ("NVM_DIR", "MISE_DATA_DIR", "PYENV_ROOT")} == {
        "NVM_DIR": f"{tmp_path}/.nvm",
        "MISE_DATA_DIR": f"{tmp_path}/.local/share/mise",
        "PYENV_ROOT": None,
    }


def test_a_home_is_no_toolchain(tmp_path: Path) -> None:
    """Whoever wrote `NVM_DIR=$HOME` would show a sandboxed stage everything that is there."""
    home = tmp_path / "ada"
    (home / ".rustup").mkdir(parents=True)
    (tmp_path / "link").symlink_to(home)
    source = {
        "HOME": str(home),
        "NVM_DIR": str(home),
        "PYENV_ROOT": f"{home}/",
        "RBENV_ROOT": f"{home}/.rustup/..",
        "VOLTA_HOME": str(tmp_path),
        "ASDF_DATA_DIR": str(tmp_path / "link"),
        "MISE_DATA_DIR": "/",
        "SDKMAN_DIR": str(Path("~").expanduser()),
    }

    assert find_toolchains(source) == {"RUSTUP_HOME": f"{home}/.rustup"}
    assert find_toolchains({"NVM_DIR": str(home)}, real_home=home) == {"RUSTUP_HOME": f"{home}/.rustup"}


def test_sandbox_shows_toolchains_that_are_there(tmp_path: Path) -> None:
    (tmp_path / ".nvm").mkdir()
    source = {"HOME": str(tmp_path), "RUSTUP_HOME": "/nonexistent/rust", "PYENV_ROOT": "relative"}

    assert toolchain_folders(source) == (tmp_path / ".nvm",)


def test_a_home_in_path_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/pyvenv.cfg").touch()
    path = f"{tmp_path}:{tmp_path.parent}:{tmp_path}/bin:{tmp_path}/venv/bin:{Path('~').expanduser()}"

    assert path_folders(path, str(tmp_path)) == (tmp_path / "bin", tmp_path / "venv")
    assert path_folders(f"{tmp_path}/bin:{tmp_path}/venv/bin", f"{tmp_path}/venv") == (tmp_path / "bin",)


def test_operator_may_allow_names_but_not_those_of_git(tmp_path: Path) -> None:
    allow = ("SSH_AUTH_SOCK", "GIT_DIR", "NOT_SET")
    env = build_environment(SOURCE, home=tmp_path, tmp=tmp_path, allow=allow)

    assert env["SSH_AUTH_SOCK"] == "/run/agent"
    assert not {"GIT_DIR", "NOT_SET"} & set(env)


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_nothing_else_ever_passes(source: dict[str, str]) -> None:
    given_names = {**source, "GIT_INDEX_FILE": "x"}
    env = build_environment(given_names, home=Path("/h"), tmp=Path("/t"), real_home=Path("/nonexistent"))

    allowed = {"PATH", "HOME", "TMPDIR", "TERM", "USER", "SHELL", "LANG", "TZ"}
    assert all(name in allowed or name.startswith("LC_") or name.endswith(("_HOME", "_ROOT", "_DIR")) for name in env)


def test_names_that_steer_loaders_are_refused() -> None:
    bad = ["LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "PYTHONPATH", "PYTHONSTARTUP", "GIT_SSH_COMMAND", "BASH_ENV", "ENV"]
    bad += ["IFS", "NODE_OPTIONS", "PERL5OPT", "RUBYOPT", "JAVA_TOOL_OPTIONS", "PATH", "BASH_FUNC_ls%%", "CICD_MARK"]
    good = ["VERSION", "ENVIRONMENT", "MY_PATH", "OLD_LD", "GITHUB", "PY", "TYPE"]

    assert refused_names([*bad, *good]) == sorted(bad)
