"""Starting, restarting and ending a server; behind systemd's socket and behind nginx."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from .conftest import operator_file

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SLOW = "[pipelines.build.stages]\nslow = 'touch \"$MARK\"; sleep 2; echo done'\n"


def wait_for(is_true, timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_runs_outlive_the_server(make_project, serve, tmp_path):
    """A stop waits for no run and ends none; the next server finds it as it ended."""
    project = make_project(SLOW)
    operator_file(project, "[orchestrator]\nenv_allow = ['MARK']\ntrust = { refs = ['main'] }\n")
    project.env["MARK"] = str(tmp_path / "mark")
    server = serve(project)
    number = server.ask("POST", "/trigger/build", token=server.token("trigger")).json["run"]["number"]
    wait_for((tmp_path / "mark").exists)

    start = time.monotonic()
    server.stop()
    assert time.monotonic() - start < 1.9  # the stage takes longer

    assert serve(project).wait_for_run(number)["run"]["verdict"] == "passed"


def test_daemon_says_where_it_answers_and_stop_ends_it(make_project):
    """`serve --daemon` returns once requests are answered."""
    project = make_project(unit="true")
    said = project.cicdctl("serve", "--daemon", "--port", "0").passes().stdout
    try:
        port = int(said.partition("http://127.0.0.1:")[2].partition(" ")[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        assert "stopped, pid" in project.cicdctl("stop").passes().stdout
    assert not list((project.path / ".git" / "cicdctl").glob("server.*"))


def test_second_server_says_who_is_first(make_project, serve):
    server = serve(make_project(unit="true"))
    said = server.project.cicdctl("serve", "--port", "0").fails(3).stderr
    assert f"pid {server.process.pid}" in said and "cicdctl stop" in said


def test_reload_reads_the_configuration_again(make_project, serve):
    """SIGHUP: what those without a token may do changes without a restart; a broken file changes nothing."""
    project = make_project(unit="true")
    server = serve(project)
    assert server.ask("GET", "/api/runs").status == 200
    operator = project.path / ".git" / "cicdctl" / "config.toml"
    operator.write_text('[server]\nanonymous = "none"\n')
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: server.ask("GET", "/api/runs").status == 401)
    operator.write_text('[server]\nanonymous = "everything"\n')
    server.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert server.ask("GET", "/api/runs").status == 401


def test_restart_behind_a_socket_of_systemd_refuses_nobody(make_project):
    """The port is held by somebody else, as `LISTEN_FDS` says: requests wait while one server follows another."""
    project = make_project(unit="true")
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(100)
    port = listener.getsockname()[1]

    def start() -> subprocess.Popen[str]:
        # What systemd does between fork and exec.
        program = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3);"
            "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'};"
            "os.execv(sys.executable, [sys.executable, '-P', '-m', 'cicdctl', 'serve'])"
        )
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", program, str(listener.fileno())],
            cwd=project.path,
            env=project.env,
            pass_fds=(listener.fileno(),),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = process.stdout.readline()
        assert f":{port}" in line, (line, process.communicate()[1])
        return process

    answers: list[object] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            try:
                connection.request("GET", "/healthz")
                answers.append(connection.getresponse().status)
            except OSError as error:
                answers.append(error)
            finally:
                connection.close()
            time.sleep(0.01)

    server = start()
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(2):
            time.sleep(0.2)
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=20)
            assert server.returncode == 0
            server = start()
    finally:
        time.sleep(0.2)
        ended.set()
        asking.join()
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=20)
        listener.close()
    assert len(answers) > 20 and set(answers) == {200}


@pytest.fixture
def behind_nginx(make_project, serve, tmp_path):
    """A server behind Debian's nginx with the example of the documentation; gives (server, port)."""
    nginx = shutil.which("nginx", path="/usr/local/bin:/usr/bin:/usr/sbin:/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed here")
    project = make_project(unit="true")
    operator = project.path / ".git" / "cicdctl"
    operator.mkdir(mode=0o700, exist_ok=True)
    server_lines = [line[1:].strip() for line in (EXAMPLES / "nginx" / "cicdctl.conf").read_text().splitlines()[2:6]]
    assert server_lines[0] == "[server]"
    (operator / "config.toml").write_text("\n".join(server_lines) + "\n")
    process = project.start("serve", "--port", "0")
    assert "https://ci.example.org" in process.stdout.readline()
    upstream = find_port(process.pid)
    folder = tmp_path / "nginx"
    folder.mkdir()
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
        + ["-days", "2", "-subj", "/CN=ci.example.org"],
        check=True,
        capture_output=True,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = (EXAMPLES / "nginx" / "cicdctl.conf").read_text()
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl").replace("127.0.0.1:8080", f"127.0.0.1:{upstream}")
    text = text.replace("/etc/ssl/certs/ci.example.org.pem", str(certificate)).replace(
        "/etc/ssl/private/ci.example.org.key", str(key)
    )
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; user root;"
        f"events {{}} http {{ access_log off; {temporary}\n{text}\n}}"
    )
    proxy = subprocess.Popen([nginx, "-c", folder / "nginx.conf", "-p", folder], env={"PATH": os.environ["PATH"]}, cwd=folder)
    wait_for(lambda: is_open(port))
    yield project, port
    proxy.send_signal(signal.SIGQUIT)
    assert proxy.wait(20) == 0
    process.send_signal(signal.SIGTERM)
    assert "Traceback" not in process.communicate(timeout=20)[1]


def find_port(pid: int) -> int:
    """Return the port on which a process listens."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            inodes.add(os.readlink(f"/proc/{pid}/fd/{name}"))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        parts = line.split()
        if parts[3] == "0A" and f"socket:[{parts[9]}]" in inodes:
            return int(parts[1].partition(":")[2], 16)
    raise AssertionError("it listens nowhere")


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_behind_nginx(behind_nginx):
    """The example of the documentation: pages, a login with a cookie that only TLS carries, and a triggered run."""
    project, port = behind_nginx
    token = project.cicdctl("token", "create", "me", "--scope", "trigger").passes().stdout.strip()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def ask(method: str, path: str, body: str = "", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
        connection.request(method, path, body, {"Host": "ci.example.org", **headers})
        answer = connection.getresponse()
        found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        connection.close()
        return found

    origin = {"Origin": "https://ci.example.org"}
    assert ask("GET", "/healthz")[0] == 200
    status, headers, _ = ask("POST", "/login", f"token={token}&next=/queue", **origin)
    assert (status, headers["location"]) == (303, "/queue")
    cookie = headers["set-cookie"]
    assert cookie.startswith("__Host-cicd=") and "Secure" in cookie and "HttpOnly" in cookie and "Path=/" in cookie
    session = {"Cookie": cookie.partition(";")[0]}
    assert ask("POST", "/trigger/build", "", **session)[0] == 403
    status, _, body = ask("POST", "/trigger/build", "", **session, **origin)
    assert (status, json.loads(body)["run"]["pipeline"]) == (202, "build")
    wait_for(lambda: json.loads(ask("GET", "/api/runs/1")[2])["run"]["verdict"] == "passed")
