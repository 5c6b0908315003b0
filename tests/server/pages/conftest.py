"""A real browser: the system's Chromium. What a page may not do (a blocked resource, an error) fails the test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

# Two loaded cores are slow; what does not come true at all still fails.
expect.set_options(timeout=30_000)

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_WATCH = """
window.cspReports = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.cspReports.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests of a process."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed here")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        yield started
        started.close()


class Visitor:
    """Somebody with a browser of their own: `page` shows what the server answers, `go` opens an address of it.

    `complaints` are errors of scripts, errors in the console and violations of the content security policy.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.context = context
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("console", lambda said: said.type in ("error", "warning") and self._note(said))

    def _note(self, said) -> None:
        self.complaints.append(f"console: {said.text} {said.location.get('url', '')}")

    def go(self, path: str) -> Page:
        self.page.goto(self.url + path, wait_until="load")
        return self.page

    def log_in(self, token: str) -> Page:
        self.go("/login")
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Log in").click()
        return self.page

    def is_content(self) -> None:
        """Fail when the browser has complained about anything."""
        assert self.complaints == []


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Open a browser window on a server; its complaints are checked after the test."""
    opened: list[Visitor] = []

    def open_window(
        server, *, scripts: bool = True, width: int = 1280, height: int = 800, dark: bool = False
    ) -> Visitor:
        context = browser.new_context(
            java_script_enabled=scripts,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            timezone_id="UTC",
        )
        context.set_default_timeout(30_000)
        if scripts:
            context.add_init_script(_WATCH)
        opened.append(Visitor(context, server.url))
        return opened[-1]

    yield open_window
    for visitor in opened:
        visitor.context.close()
    for visitor in opened:
        visitor.is_content()


def wait_until(is_true: Callable[[], object], *, timeout_s: float = 30.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


@pytest.fixture
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of axe-core, installed once for the machine by npm."""
    return _axe_text()


def _axe_text() -> str:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed here")
    script = Path(tempfile.gettempdir()) / "cicdctl-tests-axe-4.10.3.js"
    if script.exists():
        return script.read_text()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, "axe-core@4.10.3"],
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, done.stderr
        found = Path(folder) / "node_modules" / "axe-core" / "axe.min.js"
        text = found.read_text()
        # Another process of the tests may do the same at the same time.
        beside = script.with_suffix(f".{os.getpid()}")
        beside.write_text(text)
        beside.replace(script)
    return text
