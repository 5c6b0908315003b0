"""The notifier through the real plugin manager, and a real service: a JSON webhook on loopback."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import cicdctl_apprise
import pytest

from cicdctl.kinds import read_options
from cicdctl.plugin_api import ConfigError, Notice, NotSent
from cicdctl.plugin_manager import PluginManager

# Apprise's own imports; what we do warns of nothing.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
NOTICE = Notice(event="broken", title="app: build is broken", text="unit: <b>failed</b>\nsecond line", id="1")


@pytest.fixture
def service():
    """A server that takes JSON; it answers with `statuses` in turn, then 200."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.taken.append((self.path, json.loads(body)))
            self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.taken, server.statuses = [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def open_notifier(**options):
    manager = PluginManager()
    manager.register(cicdctl_apprise, "apprise", builtin=False)
    manager.check()
    (kind,) = manager.ask("cicdctl_notifiers")
    manager.close()
    return kind.open(read_options(kind, options, where="notifiers.phone"))


def test_a_notice_arrives_as_plain_text(service):
    open_notifier(urls=f"json://127.0.0.1:{service.server_port}/hook").send(NOTICE)
    ((path, body),) = service.taken
    assert path == "/hook" and body["type"] == "failure"
    assert (body["title"], body["message"]) == (NOTICE.title, NOTICE.text)


def test_only_who_did_not_take_it_gets_it_again(service):
    base = f"json://127.0.0.1:{service.server_port}"
    notifier = open_notifier(urls=[f"{base}/one", f"{base}/two"])
    service.statuses = [200, 500]
    with pytest.raises(NotSent, match="not taken by JSON"):
        notifier.send(NOTICE)
    notifier.send(NOTICE)
    assert [path for path, _ in service.taken] == ["/one", "/two", "/two"]


@pytest.mark.parametrize(
    ("urls", "words"), [(["nothing://x/t0ken"], r"urls\[0\]"), ([], "names nothing"), ("", r"urls\[0\]")]
)
def test_wrong_addresses_are_named_by_place(urls, words):
    with pytest.raises(ConfigError, match=words) as caught:
        open_notifier(urls=urls)
    assert "t0ken" not in str(caught.value)
