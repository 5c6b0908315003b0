"""What each kind puts on the wire, and what it makes of hostile text and answers."""

from __future__ import annotations

import email
import email.policy
import socket
import socketserver
import ssl
import subprocess
import threading
from base64 import b64decode
from pathlib import Path

import pytest
from msgspec.structs import replace
from standardwebhooks import Webhook as Oracle
from standardwebhooks import WebhookVerificationError

from cicdctl.errors import ConfigError, NotSent
from cicdctl.kinds import Notice
from cicdctl.notifiers import console, desktop, mail, slack, webhook
from cicdctl.notifiers.addresses import dial, is_public
from cicdctl.notifiers.http import Endpoint, post
from tests.notifiers.test_sending import SECRET

NOTICE = Notice(
    event="broken",
    title="app: build is broken on main (#7)",
    text="unit: failed, exit status 1\ncicdctl show 7",
    pipeline="build",
    run=7,
    id="abc-7-1",
    at=1_800_000_000.0,
    project="app",
    ref="refs/heads/main",
    commit="c" * 40,
    verdict="failed",
    failed=("unit",),
)
HOSTILE = replace(
    NOTICE, title="<!channel> <@U1> *x* `y` & \udc80", text="<https://evil.test|click>\n```\n" + "&" * 5000
)


def near(notifier):
    """Let a notifier send to loopback, as the operator's own do."""
    notifier.endpoint = replace(notifier.endpoint, may_be_private=True)
    return notifier


# --- generic webhook


def test_webhook_is_signed_for_both_keys(sink):
    """The reference implementation accepts it under either secret, and no other; a flipped byte is refused."""
    other = "whsec_" + "QUJD" * 8
    near(webhook.Webhook(webhook.WebhookOptions(url=sink.url, secret=(SECRET, other)))).send(NOTICE)
    (request,) = sink.requests
    for secret in (SECRET, other):
        assert Oracle(secret).verify(request.body, request.headers)["type"] == "run.broken"
    for secret, body in (("whsec_" + "WFla" * 8, request.body), (SECRET, request.body.replace(b"7", b"8", 1))):
        with pytest.raises(WebhookVerificationError):
            Oracle(secret).verify(body, request.headers)
    assert request.json["timestamp"] == "2027-01-15T08:00:00Z"
    assert request.headers["webhook-id"] == "abc-7-1" and len(request.body) < 2000


@pytest.mark.parametrize("secret", ["", "hush", "whsec_", "whsec_QUJD", "whsec_%%%", "whsec_" + "QUJD" * 40, ()])
def test_weak_secret_is_refused(secret):
    with pytest.raises(ConfigError) as caught:
        webhook.Webhook(webhook.WebhookOptions(url="https://x.test", secret=secret))
    assert not secret or str(secret)[6:] not in str(caught.value) or len(secret) < 8


# --- HTTP


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://x.test", "x.test/hook", "http://", "https://u:p@x.test/", "http://[::1", ""]
)
def test_only_whole_http_addresses(url):
    with pytest.raises(NotSent) as caught:
        post(Endpoint(url=url), b"", {})
    assert caught.value.is_final


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0177.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
    ],
)
def test_private_hosts_are_refused_however_written(host):
    """The address that was looked at is the one that is connected to; there is no second look at the name."""
    with pytest.raises(NotSent) as caught:
        dial(host, 9, may_be_private=False)
    assert caught.value.is_final and "private address" in caught.value.message


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("100.64.0.1", False),
        ("192.168.1.1", False),
        ("172.16.0.1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
    ],
)
def test_public_addresses(address, expected):
    assert is_public(address) is expected


def test_refused_connection_and_long_answers(sink):
    """Nobody there is an error for later; of an endless answer 4 KB are read."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(NotSent) as caught:
        post(Endpoint(url=f"http://127.0.0.1:{port}", may_be_private=True), b"", {})
    assert not caught.value.is_final and "refused" in caught.value.message.lower()
    sink.answer = lambda _: (200, {}, b"x" * 5_000_000)
    assert len(post(Endpoint(url=sink.url, may_be_private=True), b"", {}).body) == 4096


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A certificate for localhost with its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        + [
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            str(path),
            "-out",
            f"{path}.crt",
        ],
        check=True,
        capture_output=True,
    )
    with path.open("a") as file:
        file.write(Path(f"{path}.crt").read_text())
    return path


def test_https_checks_the_certificate_and_name(sink, certificate):
    """A certificate nobody vouches for is refused, and one for another name; the right one is taken."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    sink.server.socket = context.wrap_socket(sink.server.socket, server_side=True)
    url = sink.url.replace("http", "https")
    named = url.replace("127.0.0.1", "localhost")
    trusted = {"ca_file": f"{certificate}.crt", "may_be_private": True}
    for endpoint in (Endpoint(url=named, may_be_private=True), Endpoint(url=url, **trusted)):
        with pytest.raises(NotSent, match="certificate"):
            post(endpoint, b"", {})
    assert post(Endpoint(url=named, **trusted), b"", {}).status == 200


# --- Slack


def test_slack_pings_nobody(sink):
    """Foreign text keeps no meaning, and the message its size."""
    near(slack.Slack(slack.SlackOptions(url=sink.url + "/services/T/B/x"))).send(HOSTILE)
    (request,) = sink.requests
    section = request.json["blocks"][0]["text"]
    assert request.path == "/services/T/B/x"
    assert section["text"].startswith(":x: *&lt;!channel&gt; &lt;@U1&gt; ∗x∗ 'y' &amp; ")
    assert section["text"].count("```") == 2 and "<" not in section["text"] and len(section["text"]) <= 3000
    assert request.json["text"].startswith("&lt;!channel&gt;")


def test_slack_sends_a_message_a_second(sink):
    """The channel's rate limit is kept without being told."""
    team = near(slack.Slack(slack.SlackOptions(url=sink.url)))
    team.send(NOTICE)
    assert team._next_at > 0
    team.send(replace(NOTICE, verdict="passed"))
    assert [request.json["blocks"][0]["text"]["text"].split()[0] for request in sink.requests] == [
        ":x:",
        ":white_check_mark:",
    ]


# --- e-mail


class MailServer:
    """An SMTP server of a few lines: STARTTLS, AUTH PLAIN, one message a session."""

    def __init__(self, certificate: Path | None, *, answers: dict[str, str] | None = None) -> None:
        self.messages: list[tuple[list[str], email.message.EmailMessage]] = []
        self.log: list[str] = []
        outer = self
        special = answers or {}

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.stream = self.request.makefile("rwb")
                self.say("220 ready")
                recipients: list[str] = []
                while line := self.stream.readline():
                    words = line.decode().strip()
                    verb = words.split()[0].upper() if words else ""
                    outer.log.append(words)
                    if verb in special:
                        self.say(special[verb])
                    elif verb == "EHLO":
                        offers = ["localhost", "SMTPUTF8"] + ["STARTTLS"] * (certificate is not None) + ["AUTH PLAIN"]
                        self.stream.write(
                            b"".join(f"250{'-' if o != offers[-1] else ' '}{o}\r\n".encode() for o in offers)
                        )
                        self.stream.flush()
                    elif verb == "STARTTLS" and certificate:
                        self.say("220 go on")
                        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                        context.load_cert_chain(certificate)
                        try:
                            self.request = context.wrap_socket(self.request, server_side=True)
                        except (ssl.SSLError, OSError):
                            return
                        self.stream = self.request.makefile("rwb")
                    elif verb == "AUTH":
                        good = b64decode(words.split()[2]) == b"\0ada\0pass word"
                        self.say("235 welcome" if good else "535 no")
                    elif verb == "RCPT":
                        recipients.append(words.partition(":")[2].strip("<>"))
                        self.say("250 ok")
                    elif verb == "DATA":
                        self.say("354 go on")
                        data = b""
                        while (row := self.stream.readline()) != b".\r\n":
                            data += row
                        outer.messages.append((recipients, email.message_from_bytes(data, policy=email.policy.default)))
                        self.say("250 taken")
                    elif verb == "QUIT":
                        self.say("221 bye")
                        return
                    else:
                        self.say("250 ok")

            def finish(self) -> None:
                self.stream.close()
                self.request.close()

            def say(self, text: str) -> None:
                self.stream.write(text.encode() + b"\r\n")
                self.stream.flush()

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def __enter__(self) -> MailServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def mailer(server: MailServer, certificate: Path | None, **fields):
    given = dict(
        host="localhost", port=server.port, sender="ci@example.test", to=("ada@example.test", "bo@example.test")
    )
    ca_file = None if certificate is None else f"{certificate}.crt"
    return near(mail.Mail(mail.MailOptions(**{**given, "ca_file": ca_file, **fields})))


def test_mail_goes_encrypted_to_those_named(certificate):
    """STARTTLS before the password; the headers that machines and threads need."""
    with MailServer(certificate) as server:
        sender = mailer(server, certificate, username="ada", password="pass word")
        sender.send(NOTICE)
        sender.send(replace(NOTICE, id="abc-8-2", run=8))
    verbs = [line.split()[0] for line in server.log if line]
    assert verbs.index("STARTTLS") < verbs.index("AUTH")
    (recipients, message), (_, second) = server.messages
    assert recipients == ["ada@example.test", "bo@example.test"]
    assert message["Subject"] == NOTICE.title and message["From"] == "cicdctl <ci@example.test>"
    assert message["Auto-Submitted"] == "auto-generated" and message["List-Id"] == "<app.cicdctl.example.test>"
    assert message["Message-ID"] == "<abc-7-1.cicdctl@example.test>" != second["Message-ID"]
    assert message["References"] == second["References"] == second["In-Reply-To"]
    assert message.get_content().splitlines() == [NOTICE.title, "", *NOTICE.text.splitlines()]


def test_mail_without_starttls_is_not_sent(certificate):
    """A server that does not offer it gets neither password nor text."""
    with MailServer(None) as server, pytest.raises(NotSent) as caught:
        mailer(server, None, username="ada", password="pass word").send(NOTICE)
    assert caught.value.is_final and not any("AUTH" in line or "DATA" in line for line in server.log)


def test_mail_server_with_a_foreign_certificate_is_refused(certificate):
    with MailServer(certificate) as server, pytest.raises(NotSent, match="certificate"):
        mailer(server, None).send(NOTICE)
    assert server.messages == []


@pytest.mark.parametrize(
    ("answers", "is_final", "words"),
    [
        ({"RCPT": "550 no such user"}, True, "answered 550: no such user"),
        ({"RCPT": "451 later"}, False, "answered 451: later"),
        ({"MAIL": "421 busy"}, False, "answered 421: busy"),
        ({"DATA": "554 spam"}, True, "answered 554: spam"),
        ({"AUTH": "535 no"}, True, "does not take the password"),
    ],
)
def test_answers_of_a_mail_server(certificate, answers, is_final, words):
    """5xx is final, 4xx is tried again."""
    with MailServer(certificate, answers=answers) as server, pytest.raises(NotSent) as caught:
        mailer(server, certificate, username="ada", password="pass word").send(NOTICE)
    assert words in caught.value.message and caught.value.is_final is is_final


def test_hostile_text_makes_no_headers(certificate):
    """A line break in a title stays out of the header, half letters become question marks."""
    hostile = replace(NOTICE, title="x\r\nBcc: eve@example.test\r\n\r\nbody", project="a\r\nb>", text="\udc80 ünïcode")
    with MailServer(None) as server:
        mailer(server, None, security="none").send(hostile)
    (recipients, message) = server.messages[0]
    assert "Bcc" not in message and recipients == ["ada@example.test", "bo@example.test"]
    assert message["List-Id"] == "<a-b-.cicdctl.example.test>" and "ünïcode" in message.get_content()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"to": "nobody"}, '"nobody" is no address'),
        ({"to": "a@b\r\nBcc: c@d"}, "is no address"),
        ({"to": ()}, '"to" names nobody'),
        ({"username": "ada"}, "go together"),
        ({"security": "none", "username": "a", "password": "b"}, "not sent without encryption"),
    ],
)
def test_wrong_mail_options(fields, words):
    given = dict(host="mail.test", sender="ci@example.test", to="ada@example.test")
    with pytest.raises(ConfigError, match=words):
        mail.Mail(mail.MailOptions(**{**given, **fields}))


# --- console and desktop


def test_console_appends_a_line_once(tmp_path):
    """The same notice after a crash is not written twice."""
    told = console.Console(console.ConsoleOptions(file=str(tmp_path / "log"), text=True), Path("/nowhere"))
    for notice in (NOTICE, NOTICE, replace(NOTICE, title="other", text="")):
        told.send(notice)
    lines = (tmp_path / "log").read_text().splitlines()
    assert [lines[0][21:], *lines[1:3], lines[3][21:]] == [
        NOTICE.title,
        "    unit: failed, exit status 1",
        "    cicdctl show 7",
        "other",
    ]
    with pytest.raises(NotSent, match="cannot write"):
        console.Console(console.ConsoleOptions(file="no/such/folder/log"), tmp_path).send(NOTICE)


def desktop_with(tmp_path, body: str) -> desktop.Desktop:
    """A desktop whose `notify-send` is a script of ours."""
    program = tmp_path / "bin" / "notify-send"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return desktop.Desktop(tmp_path, {"PATH": f"{program.parent}:/usr/bin:/bin"})


def test_desktop_shows_text_as_text(tmp_path):
    """Arguments are ended before foreign text, and the body is no markup."""
    shown = desktop_with(tmp_path, f"printf '%s\\n' \"$@\" > {tmp_path}/said")
    shown.send(replace(NOTICE, title="--hint=x", text="<b>bold</b> & more"))
    assert (tmp_path / "said").read_text().splitlines() == [
        "--app-name=cicdctl",
        "--urgency=critical",
        "--",
        "--hint=x",
        "&lt;b&gt;bold&lt;/b&gt; &amp; more",
    ]


def test_desktop_that_is_not_there_is_said(tmp_path):
    with pytest.raises(NotSent, match="status 1: no bus") as caught:
        desktop_with(tmp_path, "echo no bus >&2; exit 1").send(NOTICE)
    assert caught.value.is_final
    with pytest.raises(NotSent, match='there is no program "notify-send"'):
        desktop.Desktop(tmp_path, {"PATH": "/nowhere"}).send(NOTICE)
