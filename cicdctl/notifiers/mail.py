"""`uses = "email"`: a message by SMTP, encrypted, to addresses of the configuration and no others."""

from __future__ import annotations

import hashlib
import re
import smtplib
import socket
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate
from typing import Literal

from cicdctl.errors import ConfigError, NotSent
from cicdctl.kinds import Notice, NotifierKind
from cicdctl.model import Value
from cicdctl.notifiers.addresses import TIMEOUT_S, dial, say
from cicdctl.notifiers.http import Endpoint, secure_context
from cicdctl.notifiers.text import one_line

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_ADDRESS = re.compile(r"[^\s@<>(),;:\"\\\x00-\x1f\x7f]+@[^\s@<>(),;:\"\\\x00-\x1f\x7f]+")


class MailOptions(Value, frozen=True, kw_only=True):
    """`security` is how the way is encrypted: `starttls` (required then), `tls` from the first byte, `none`.

    `sender` is the address it comes from; `to` those it goes to. `port` is by default 587, 465 or 25.
    """

    host: str
    sender: str
    to: str | tuple[str, ...]
    port: int | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None


class Mail:
    """Sends one message per notice; those of one pipeline and ref make a thread."""

    def __init__(self, options: MailOptions) -> None:
        to = (options.to,) if isinstance(options.to, str) else options.to
        for address in (options.sender, *to):
            if not _ADDRESS.fullmatch(address):
                raise ConfigError((f'"{one_line(address, 80)}" is no address: write name@example.org',))
        if not to:
            raise ConfigError(('"to" names nobody',))
        if (options.username is None) != (options.password is None):
            raise ConfigError(('"username" and "password" go together',))
        if options.security == "none" and options.password is not None:
            raise ConfigError(('a password is not sent without encryption: security = "none"',))
        self._options = options
        self._to = to
        self.endpoint = Endpoint(url="", ca_file=options.ca_file)

    def send(self, notice: Notice) -> None:
        options = self._options
        try:
            with self._connect() as server:
                server.ehlo_or_helo_if_needed()
                if options.security == "starttls":
                    server.starttls(context=secure_context(options.ca_file))
                if options.username is not None and options.password is not None:
                    server.login(options.username, options.password)
                server.send_message(self._message(notice), options.sender, list(self._to))
        except smtplib.SMTPNotSupportedError as error:
            raise NotSent(f'"{options.host}" does not offer what is needed: {error}', is_final=True) from error
        except smtplib.SMTPAuthenticationError as error:
            raise NotSent(f'"{options.host}" does not take the password', is_final=True) from error
        except smtplib.SMTPResponseException as error:
            raise _answered(error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            raise _answered(code, text) from error
        except (OSError, smtplib.SMTPException) as error:
            raise NotSent(f'no answer from "{options.host}": {say(error)}') from error

    def _connect(self) -> smtplib.SMTP:
        options = self._options
        server = _Server(self.endpoint.may_be_private, options.security == "tls", options.ca_file)
        server.connect(options.host, options.port or _PORTS[options.security])
        return server

    def _message(self, notice: Notice) -> EmailMessage:
        domain = self._options.sender.rpartition("@")[2]
        thread = hashlib.sha256(f"{notice.project}\0{notice.pipeline}\0{notice.ref}".encode("utf-8", "replace"))
        root = f"<{thread.hexdigest()[:24]}.cicdctl@{domain}>"
        message = EmailMessage()
        message["Subject"] = one_line(notice.title, 200)
        message["From"] = Address("cicdctl", addr_spec=self._options.sender)
        message["To"] = ", ".join(self._to)
        message["Date"] = formatdate(notice.at)
        # The same at each try: what arrives twice is shown once.
        message["Message-ID"] = f"<{notice.id}.cicdctl@{domain}>"
        message["In-Reply-To"] = message["References"] = root
        message["Auto-Submitted"] = "auto-generated"
        message["List-Id"] = f"<{re.sub(r'[^A-Za-z0-9.-]+', '-', notice.project) or 'project'}.cicdctl.{domain}>"
        text = f"{notice.title}\n\n{notice.text}\n"
        message.set_content(text.encode("utf-8", "replace").decode())
        return message


class _Server(smtplib.SMTP):
    """Connects to an address that was checked; the certificate has to be that of the host's name."""

    def __init__(self, may_be_private: bool, is_secure: bool, ca_file: str | None) -> None:
        super().__init__(timeout=TIMEOUT_S)
        self._may_be_private = may_be_private
        self._is_secure = is_secure
        self._ca_file = ca_file

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        self._host = host
        connection = dial(host, port, may_be_private=self._may_be_private)
        if not self._is_secure:
            return connection
        return secure_context(self._ca_file).wrap_socket(connection, server_hostname=host)


def _answered(code: int, text: bytes | str) -> NotSent:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return NotSent(f"answered {code}: {one_line(words, 120)}", is_final=500 <= code < 600)


KIND = NotifierKind(name="email", options_type=MailOptions, open=Mail)
