"""What a sandboxed stage can and cannot do; without a sandbox it does not run."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cicdctl.errors import SandboxError
from cicdctl.process import Sandbox, SandboxSupport, choose_sandbox, path_folders, probe_sandbox
from cicdctl.process.landlock import landlock_version

if TYPE_CHECKING:
    from conftest import Stage


def run_boxed(stage: Stage, sandbox: Sandbox, script: str, **given: Any) -> Any:
    """Run in bubblewrap; where there is none, show that nothing runs, and return None."""
    if not probe_sandbox().bwrap:
        with pytest.raises(SandboxError, match="must run in a sandbox"):
            choose_sandbox("required", trusted=False, network=False)
        return None
    return stage.run(script, sandbox=sandbox, **given)


def test_only_its_own_folder_can_be_written(stage: Stage, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    script = (
        "echo own > own; mkdir sub; "
        f"for place in {outside} /usr /etc / /bin /var /home; do echo x 2>/dev/null > $place/planted && echo WROTE $place; done; "
        "echo private > /tmp/private && cat /tmp/private"
    )
    ended = run_boxed(stage, Sandbox(writable=(stage.folder,)), script)

    if ended is not None:
        # What it may write in its private /var is gone with it.
        assert stage.output.decode().replace("WROTE /var\n", "") == "private\n"
        assert (stage.folder / "own").read_text() == "own\n"
        assert not outside.joinpath("planted").exists()
        assert not Path("/tmp/private").exists()


def test_home_is_invisible(stage: Stage, tmp_path: Path) -> None:
    secret = tmp_path / "home" / ".ssh"
    secret.mkdir(parents=True)
    (secret / "id").write_text("key")
    script = f"cat {secret}/id; ls -a ~/.ssh {tmp_path}/home /root; true"
    ended = run_boxed(stage, Sandbox(writable=(stage.folder,)), script, env={"HOME": str(tmp_path / "home")})

    if ended is not None:
        assert stage.output.count(b"No such file or directory") == 4
        assert b"key" not in stage.output


def test_read_only_and_hidden(stage: Stage, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    (mirror / "private").mkdir(parents=True)
    (mirror / "key").write_text("invisible\n")
    (mirror / "file").write_text("shared\n")
    (mirror / "private" / "file").write_text("invisible\n")
    box = Sandbox(writable=(stage.folder,), readonly=(mirror,), hidden=(mirror / "private", mirror / "key"))
    script = f"cat {mirror}/file {mirror}/private/file {mirror}/key; echo x | tee {mirror}/file {mirror}/key; true"
    ended = run_boxed(stage, box, script)

    if ended is not None:
        assert b"shared\n" in stage.output
        assert b"invisible" not in stage.output
        assert (mirror / "file").read_text() == "shared\n"
        assert (mirror / "key").read_text() == "invisible\n"


def test_writable_folder_inside_a_readable_one(stage: Stage, tmp_path: Path) -> None:
    box = Sandbox(writable=(stage.folder,), readonly=(tmp_path,))
    ended = run_boxed(stage, box, "echo x > made")

    if ended is not None:
        assert (ended.exit_code, (stage.folder / "made").exists()) == (0, True)


TALK = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
    try: udp.sendto(b"udp", ("127.0.0.1", {udp})); print("udp sent")
    except OSError: print("udp refused")
try: socket.create_connection(("127.0.0.1", {tcp}), 1); print("tcp connected")
except OSError: print("tcp refused")
print([name for _, name in socket.if_nameindex()])
"""


@pytest.mark.parametrize("network", [False, True])
def test_network_is_shut_or_open(network: bool, stage: Stage) -> None:
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(0.3)
        (stage.folder / "talk.py").write_text(TALK.format(tcp=tcp.getsockname()[1], udp=udp.getsockname()[1]))
        prefix = Path(os.path.realpath(sys.executable)).parent.parent
        box = Sandbox(writable=(stage.folder,), readonly=(prefix,), network=network)
        ended = run_boxed(stage, box, f"{os.path.realpath(sys.executable)} talk.py")
        if ended is None:
            return
        lines = stage.output.decode().splitlines()
        assert ("tcp connected" in lines) == network
        if network:
            assert udp.recv(10) == b"udp"
        else:
            assert lines[-1] == "['lo']"
            with pytest.raises(TimeoutError):
                udp.recv(10)


def test_privileges_are_gone(stage: Stage) -> None:
    ended = run_boxed(
        stage, Sandbox(), "grep -E 'CapEff|NoNewPrivs' /proc/self/status; ls /proc | grep -c '^[0-9]'", cwd=Path("/tmp")
    )

    if ended is not None:
        lines = stage.output.decode().split()
        assert lines[:4] == ["CapEff:", "0" * 16, "NoNewPrivs:", "1"]
        assert int(lines[4]) < 10, "only its own processes"


def test_environment_is_loaded_inside_and_secrets_are_in_no_argument(stage: Stage) -> None:
    """LD_PRELOAD of an untrusted file must not reach the bwrap that runs outside."""
    script = "echo $LD_PRELOAD; touch running; while [ ! -e done ]; do sleep 0.01; done"
    seen: list[bytes] = []

    def spy() -> None:
        stage.wait_for((stage.folder / "running").exists)
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    seen.append(Path(f"/proc/{name}/cmdline").read_bytes())
                except OSError:
                    continue
        (stage.folder / "done").touch()

    if not probe_sandbox().bwrap:
        run_boxed(stage, Sandbox(), script)
        return
    thread = threading.Thread(target=spy, daemon=True)
    thread.start()
    env = {"LD_PRELOAD": "/tmp/evil.so", "TOKEN": "s3cret-value"}
    ended = run_boxed(stage, Sandbox(writable=(stage.folder,)), script, env=env, timeout_s=8)
    thread.join()
    assert ended.exit_code == 0
    assert stage.output.count(b"/tmp/evil.so") >= 1
    assert not any(b"s3cret-value" in line for line in seen)


def test_sandbox_that_cannot_start_is_no_failure_of_the_stage(stage: Stage, tmp_path: Path) -> None:
    ended = run_boxed(stage, Sandbox(writable=(tmp_path / "missing",)), "echo ran")

    if ended is not None:
        assert (ended.reason, ended.exit_code, b"ran" in stage.output) == ("sandbox", None, False)
        assert "sandbox" in ended.detail


def test_status_1_of_the_stage_is_its_own(stage: Stage) -> None:
    ended = run_boxed(stage, Sandbox(writable=(stage.folder,)), "exit 1")

    if ended is not None:
        assert (ended.reason, ended.exit_code, ended.sandbox) == ("exited", 1, "bwrap")


def test_landlock_denies_writes_and_reads_outside(stage: Stage, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    box = Sandbox(level="landlock", writable=(stage.folder,), network=True)
    script = f"cat {secret}; echo x > {tmp_path}/planted; echo x > inside; kill -0 {os.getpid()}; cat inside"
    if landlock_version() == 0:
        with pytest.raises(SandboxError, match="no Landlock"):
            stage.run(script, sandbox=box)
        return
    ended = stage.run(script, sandbox=box)

    assert (ended.exit_code, ended.sandbox) == (0, "landlock")
    assert b"key" not in stage.output
    assert not (tmp_path / "planted").exists()
    assert stage.output.endswith(b"x\n")
    (tmp_path / "planted").write_text("we are not restricted ourselves")


def test_landlock_refuses_to_promise_no_network(stage: Stage) -> None:
    with pytest.raises(SandboxError, match="Landlock"):
        stage.run("true", sandbox=Sandbox(level="landlock", network=False))


@pytest.mark.parametrize(
    ("setting", "trusted", "network", "bwrap", "landlock", "level"),
    [
        ("auto", True, True, False, 0, None),
        ("off", True, True, True, 7, None),
        ("auto", False, True, True, 7, "bwrap"),
        ("auto", False, True, False, 7, "landlock"),
        ("auto", False, True, False, 0, "refused"),
        ("auto", True, False, True, 7, "bwrap"),
        ("auto", True, False, False, 7, "refused"),
        ("required", True, True, True, 0, "bwrap"),
        ("required", True, True, False, 0, "refused"),
        ("required", False, False, False, 7, "refused"),
        ("off", True, False, False, 7, "refused"),
    ],
)
def test_choice_fails_closed(
    setting: Any, trusted: bool, network: bool, bwrap: bool, landlock: int, level: str | None
) -> None:
    support = SandboxSupport(bwrap=bwrap, bwrap_problem="setting up uid map: Permission denied", landlock=landlock)
    if level == "refused":
        with pytest.raises(SandboxError, match="setting up uid map: Permission denied") as caught:
            choose_sandbox(setting, trusted=trusted, network=network, support=support)
        assert "bubblewrap" in caught.value.hint
        return
    chosen = choose_sandbox(setting, trusted=trusted, network=network, support=support)
    assert (chosen.level if chosen is not None else None) == level


def test_missing_program_is_found_by_doing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stage: Stage) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    from cicdctl.process.sandbox import _try_bwrap

    assert _try_bwrap() == "bwrap: setting up uid map: Permission denied"
    monkeypatch.setenv("PATH", "/nonexistent")
    assert _try_bwrap() == "bwrap is not installed"
    with pytest.raises(SandboxError, match="bwrap is not installed"):
        stage.run("touch ran", sandbox=Sandbox())
    assert not (stage.folder / "ran").exists()


def test_folders_of_path(tmp_path: Path) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "pyvenv.cfg").touch()
    (tmp_path / "tools").mkdir()
    path = f"/usr/bin:{tmp_path}/venv/bin:{tmp_path}/tools:{tmp_path}/none:relative::/"

    assert path_folders(path) == (tmp_path / "venv", tmp_path / "tools")
