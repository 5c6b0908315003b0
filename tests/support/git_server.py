"""Real servers on this machine's loopback: git over HTTP by `git http-backend`, and over ssh by sshd where it is."""

from __future__ import annotations

import base64
import getpass
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BACKEND = Path(subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip())
SSHD = "/usr/sbin/sshd"


class GitHttpServer:
    """Serves the repositories below `root`. `status` answers everything so, `credentials` ask for "user:password"."""

    def __init__(self, root: Path, *, certificate: Path | None = None) -> None:
        self.root = root
        self.status: int | None = None
        self.credentials: str | None = None
        self.is_hanging = threading.Event()
        self.is_over = threading.Event()
        self.requests: list[str] = []
        self.command_lines: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.scheme = "http"
        if certificate is not None:
            self.scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, name: str, userinfo: str = "") -> str:
        return f"{self.scheme}://{userinfo}127.0.0.1:{self._server.server_port}/{name}"

    def close(self) -> None:
        self.is_over.set()
        self._server.shutdown()
        self._server.server_close()


def _handler_of(owner: GitHttpServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            owner.requests.append(self.path)
            owner.command_lines |= set(command_lines())
            while owner.is_hanging.is_set() and not owner.is_over.is_set():
                time.sleep(0.02)
            if owner.is_over.is_set():
                return
            wanted = owner.credentials and "Basic " + base64.b64encode(owner.credentials.encode()).decode()
            if owner.status is not None:
                self.send_error(owner.status)
            elif wanted and self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self._serve()

        do_POST = do_GET

        def _serve(self) -> None:
            path, _, query = self.path.partition("?")
            env = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(owner.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            done = subprocess.run([str(BACKEND / "git-http-backend")], input=body, env=env, capture_output=True)
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def command_lines() -> list[str]:
    """Return the command line of every process, as anybody on the machine can read it."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                found.append(
                    Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                )
            except OSError:
                continue
    return found


def make_certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 that is its own authority; the file holds the key, too."""
    path = folder / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return path


class SshServer:
    """git over ssh: a real sshd with keys of its own, or, where there is none, a command that runs it here."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._made: Path | None = None
        if not Path(SSHD).exists():
            program = folder / "ssh"
            program.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
            program.chmod(0o755)
            self.command, self._host = str(program), "127.0.0.1"
            return
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]
        for name in ("host", "user"):
            keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(keygen, check=True, capture_output=True)
        shutil.copy(folder / "user.pub", folder / "authorized")
        (folder / "config").write_text(
            f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
            f"PidFile {folder}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "PermitRootLogin prohibit-password\n"
        )
        run = Path("/run/sshd")  # its own folder for separated privileges
        if os.geteuid() == 0 and not run.exists():
            run.mkdir(mode=0o755)
            self._made = run
        self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.DEVNULL)
        self.command = (
            f"ssh -F none -oBatchMode=yes -oIdentitiesOnly=yes -i {folder}/user -oStrictHostKeyChecking=accept-new "
            f"-oUserKnownHostsFile={folder}/known -oLogLevel=ERROR"
        )
        self._host = f"{getpass.getuser()}@127.0.0.1:{port}"
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("sshd does not answer")

    def url(self, path: Path) -> str:
        return f"ssh://{self._host}{path}"

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        if self._made is not None:
            self._made.rmdir()
