"""The log of a stage: any length, live, searched, pointed at; and nothing that a log says is obeyed."""

from __future__ import annotations

import json
import random
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest
from playwright.sync_api import expect

from cicdctl.server.pages.ansi import linked, pieces
from cicdctl.server.pages.log_part import since

from ..conftest import operator_file, wait_for

TRUSTED = '[orchestrator.trust]\nrefs = ["*"]\n'
PATIENCE_MS = 30_000
LINES = ".log .view .line"


def line(page, number: int):
    """Return a line of the log, which is in the page only when it is in sight."""
    return page.locator(f".log .view #L{number} .text")


def test_a_million_lines(make_project, serve, visit):
    """First, last and any line by scrolling, link and search; what is in the page are the lines in sight."""
    project = make_project(count="seq 1000000")
    project.cicdctl("run", "build").passes()
    visitor = visit(serve(project))
    page = visitor.go("/r/1/s/count")
    expect(line(page, 1000001)).to_have_text("1000000", timeout=PATIENCE_MS)
    expect(page.locator(".tools [role=status]")).to_have_text("1,000,001 lines")

    page.get_by_role("button", name="Start").click()
    expect(line(page, 1)).to_have_text("$ seq 1000000", timeout=PATIENCE_MS)
    page.locator(".view").hover()
    page.mouse.wheel(0, 200)
    expect(page.locator(LINES).first).to_have_attribute("id", "L11", timeout=PATIENCE_MS)
    expect(line(page, 12)).to_have_text("11")

    # As somebody does who drags the scrollbar to its middle.
    page.locator(".view").evaluate("view => { view.scrollTop = (view.scrollHeight - view.clientHeight) / 2; }")
    expect(line(page, 500001)).to_have_text("500000", timeout=PATIENCE_MS)
    page.evaluate("location.hash = '#L250001-L250003'")
    expect(line(page, 250003)).to_have_text("250002", timeout=PATIENCE_MS)
    expect(page.locator(f"{LINES}.is-marked")).to_have_count(3)

    page.get_by_label("Search the log").fill("77777")
    expect(page.locator(".tools [role=status]")).to_contain_text(" of ", timeout=PATIENCE_MS)
    expect(page.locator(f"{LINES}.is-hit .text")).to_have_text("277777", timeout=PATIENCE_MS)
    page.keyboard.press("Enter")
    expect(page.locator(f"{LINES}.is-hit .text")).to_have_text("377777", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Previous").click()
    expect(page.locator(f"{LINES}.is-hit .text")).to_have_text("277777", timeout=PATIENCE_MS)
    assert page.locator(".marks rect").count() > 3
    assert page.locator(LINES).count() < 100


def test_follows_until_somebody_reads(make_project, serve, visit, tmp_path):
    """New lines come by themselves; who has scrolled up stays where they are; the button leads back to the end."""
    loop = f'n=0; while [ $n -lt 4 ]; do n=$((n+1)); seq $((n*100)) $((n*100+99)); until test -e {tmp_path}/go$n; do sleep 0.02; done; done; printf half; until test -e {tmp_path}/go5; do sleep 0.02; done; echo " done"'
    project = make_project(grow=loop)
    operator_file(project, TRUSTED)
    server = serve(project)
    assert server.ask("POST", "/trigger/build", token=server.token("trigger"), json_body={}).status == 202
    visitor = visit(server)
    page = visitor.go("/r/1/s/grow")
    page.evaluate("window.isSame = true")
    follow = page.get_by_role("button", name="Follow")
    page.get_by_label("Times of the lines").select_option("clock")
    expect(line(page, 101)).to_have_text("199", timeout=PATIENCE_MS)
    (tmp_path / "go1").touch()
    expect(line(page, 201)).to_have_text("299", timeout=PATIENCE_MS)
    expect(follow).to_have_attribute("aria-pressed", "true")

    page.locator(".view").hover()
    page.mouse.wheel(0, -400)
    expect(follow).to_have_attribute("aria-pressed", "false")
    first = page.locator(LINES).first.get_attribute("id")
    (tmp_path / "go2").touch()
    expect(page.locator(".tools [role=status]")).to_have_text("301 lines", timeout=PATIENCE_MS)
    expect(page.locator(LINES).first).to_have_attribute("id", first)
    follow.click()
    expect(line(page, 301)).to_have_text("399", timeout=PATIENCE_MS)
    (tmp_path / "go3").touch()
    expect(line(page, 401)).to_have_text("499", timeout=PATIENCE_MS)
    (tmp_path / "go4").touch()
    expect(line(page, 402)).to_have_text("half", timeout=PATIENCE_MS)
    (tmp_path / "go5").touch()
    expect(line(page, 402)).to_have_text("half done", timeout=PATIENCE_MS)
    expect(page.locator("#log-head .status")).to_have_text("passed", timeout=PATIENCE_MS)
    expect(follow).to_be_hidden()
    # Lines that came by themselves have their times, too.
    expect(page.locator(f"{LINES} .at", has_text=re.compile(r"^\d\d:\d\d:\d\d$"))).to_have_count(
        page.locator(LINES).count(), timeout=PATIENCE_MS
    )
    assert page.evaluate("window.isSame") is True


class Nobody(BaseHTTPRequestHandler):
    """A proxy whose server is away."""

    asked: ClassVar[set[str]] = set()

    def do_GET(self) -> None:
        self.send_error(502)
        self.asked.add(self.path.partition("?")[0])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_log_goes_on_after_the_server_was_away(make_project, serve, visit, tmp_path):
    """The server ends and comes again while a stage prints: the open page misses no line and has none twice."""
    gate = f"until test -e {tmp_path}/go$n; do sleep 0.02; done"
    project = make_project(grow=f"for n in 1 2 3; do seq $((n*100)) $((n*100+99)); {gate}; done; echo over")
    operator_file(project, TRUSTED)
    server = serve(project)
    assert server.ask("POST", "/trigger/build", token=server.token("trigger"), json_body={}).status == 202
    visitor = visit(server)
    page = visitor.go("/r/1/s/grow")
    page.evaluate("window.isSame = true")
    expect(line(page, 101)).to_have_text("199", timeout=PATIENCE_MS)

    server.stop()
    expect(page.locator("#link")).to_contain_text("not live", timeout=PATIENCE_MS)
    (tmp_path / "go1").touch()
    # What is in front of it says so meanwhile.
    with ThreadingHTTPServer(("127.0.0.1", server.port), Nobody) as proxy:
        Thread(target=proxy.serve_forever).start()
        wait_for(lambda: "/api/events" in Nobody.asked)
        proxy.shutdown()
    serve(project, "--port", str(server.port))
    expect(line(page, 201)).to_have_text("299", timeout=PATIENCE_MS)
    (tmp_path / "go2").touch()
    expect(line(page, 301)).to_have_text("399", timeout=PATIENCE_MS)
    (tmp_path / "go3").touch()
    expect(page.locator("#log-head .status")).to_have_text("passed", timeout=PATIENCE_MS)
    expect(line(page, 302)).to_have_text("over")
    expect(page.locator(".tools [role=status]")).to_have_text("302 lines")
    page.locator(".view").evaluate("view => { view.scrollTop = 90 * 20; }")
    expect(line(page, 102)).to_have_text("200", timeout=PATIENCE_MS)
    assert page.evaluate("window.isSame") is True
    # A browser says of each try that nobody answered.
    assert all(re.search("ERR_|status of 502", text) for text in visitor.complaints), visitor.complaints
    visitor.complaints.clear()


def test_lines_are_pointed_at_folded_and_wrapped(make_project, serve, visit):
    """A number is a link, with shift a range; a command hides what it printed; long lines are broken; times are shown."""
    project = make_project(
        """
[pipelines.build.stages]
two = ["seq 5", "sleep 0.3; seq 100 199", "printf 'x%.0s' $(seq 900); echo"]
"""
    )
    project.cicdctl("run", "build").passes()
    visitor = visit(serve(project))
    page = visitor.go("/r/1/s/two")
    page.get_by_role("button", name="Start").click()
    page.locator("#L3 .no").click()
    page.locator("#L5 .no").click(modifiers=["Shift"])
    assert page.url.endswith("#L3-L5")
    page.reload()
    expect(page.locator(f"{LINES}.is-marked .text")).to_have_text(["2", "3", "4"], timeout=PATIENCE_MS)

    times = page.get_by_label("Times of the lines")
    expect(page.locator(".at")).to_have_count(0)
    times.select_option("since")
    expect(page.locator("#L2 .at")).to_have_text(re.compile(r"^\d+:\d\d\.\d$"), timeout=PATIENCE_MS)
    began, later = (page.locator(f"#L{number} .at").inner_text() for number in (2, 8))
    assert seconds(later) - seconds(began) >= 0.2
    page.reload()
    expect(page.locator("#L2 .at")).to_have_text(began, timeout=PATIENCE_MS)
    times.select_option("clock")
    expect(page.locator("#L2 .at")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    assert re.match(r"20\d\d-\d\d-\d\dT[\d:.]+Z, after ", page.locator("#L2 .at").get_attribute("title"))
    times.select_option("")
    expect(page.locator(".at")).to_have_count(0)

    page.locator("#L7 .fold").click()
    expect(page.locator("#L7 .fold")).to_have_attribute("aria-expanded", "false", timeout=PATIENCE_MS)
    expect(page.locator("#L7 + .line .text")).to_contain_text("$ printf")
    page.locator("#L7 .fold").click()
    expect(page.locator("#L7 + .line .text")).to_have_text("100")

    page.get_by_role("button", name="End").click()
    long = page.locator("#L109")
    expect(long).to_have_text("x" * 900)
    before = long.bounding_box()["height"]
    page.get_by_role("button", name="Wrap").click()
    expect(page.get_by_role("button", name="Wrap")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function("before => document.querySelector('#L109')?.offsetHeight >= 3 * before", arg=before)


def seconds(text: str) -> float:
    """Read `0:02.3`."""
    minutes, rest = text.split(":")
    return int(minutes) * 60 + float(rest)


def test_times_without_scripts_are_said_alike(make_project, serve, visit):
    """They stand at the numbers of the lines; page and script write them in the same way."""
    project = make_project(unit="echo one")
    project.cicdctl("run", "build").passes()
    server = serve(project)
    link = visit(server, scripts=False).go("/r/1/s/unit").locator("#L2 .no")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:]+Z, after \d+:\d\d\.\d", link.get_attribute("title"))
    page = visit(server).go("/login")
    spans = [0.0, 0.1, 0.29, 0.3, 2.3, 59.99, 60.0, 754.4, 3599.9, 3600.0, 90061.2]
    shown = page.evaluate(
        """async (spans) => {
          const { Times } = await import("/static/times.js");
          const times = new Times(() => {});
          times.field.value = "since";
          return spans.map((span) => times.cell(0, span).textContent);
        }""",
        spans,
    )
    assert shown == [since(span) for span in spans]
    assert shown[5:8] == ["0:59.9", "1:00.0", "12:34.4"] and shown[-1] == "25:01:01.2"


EVIL = "<img src=x onerror=document.title='pwned'>"
HOSTILE = r"""
[pipelines.build.stages.loud]
run = "sh loud.sh"
artifacts = ["out/**"]
reports = { junit = ["junit.xml"] }
[pipelines.build.stages.loud.matrix]
value = ["<script>alert(1)</script>", "a/.. b;c"]
"""
LOUD = r"""
mkdir out; echo 1 > "out/<img src=x onerror=alert(1)>.txt"
printf '<img src=x onerror=alert(1)><script>alert(2)</script>\n'
printf 'a\033]0;title\007b\033]52;c;aGVsbG8=\007c\033]8;;javascript:alert(1)\033\\link\033]8;;\033\\ \033[2J\033[38;2;255;0;0mred\033[0m\n'
printf 'see (\033[1mhttps://x.example/a?b=<script>\033[0m, http://y.example.) javascript:alert(1) https://\n'
printf 'right\342\200\256tfel \302\233 one\rtwo\n'
printf '<testsuite tests="1" failures="1"><testcase name="&lt;img src=x onerror=alert(3)&gt;"><failure message="&lt;b&gt;x"/></testcase></testsuite>' > junit.xml
exit 1
"""


@pytest.mark.parametrize("scripts", [True, False])
def test_nothing_that_a_repository_says_is_obeyed(make_project, serve, visit, scripts):
    """Names, messages, logs, tests and artifacts are text wherever they come from; the policy of the page is kept."""
    project = make_project(HOSTILE, files={"loud.sh": LOUD})
    project.git("checkout", "-q", "-b", "feature/<img/src=x/onerror=alert(1)>;$(id)")
    project.git(
        "commit", "-q", "--allow-empty", "--author", f"{EVIL.replace('<', '(').replace('>', ')')} <a@b>", "-m", EVIL
    )
    project.cicdctl("run", "build").fails(1)
    visitor = visit(serve(project), scripts=scripts)
    dialogs: list[str] = []
    visitor.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page = visitor.go("/r/1")
    expect(page.locator("#message")).to_contain_text(f"{EVIL} by (img src=x")
    expect(page.locator("#facts .ref")).to_have_text("feature/<img/src=x/onerror=alert(1)>;$(id)")
    expect(page.locator(".failure .tests b").first).to_have_text("<img src=x onerror=alert(3)>")
    for path in ("/r/1", None):
        page = visitor.go(path) if path else follow_first(page)
        lines = page.locator(".log:not(.tail) .text" if not scripts else f"{LINES} .text")
        expect(lines.nth(1)).to_have_text("<img src=x onerror=alert(1)><script>alert(2)</script>", timeout=PATIENCE_MS)
        expect(lines.nth(2)).to_have_text("abclink red")
        expect(lines.nth(4)).to_have_text("two")
        links = lines.nth(3).get_by_role("link")
        expect(links).to_have_text(["https://x.example/a?b=", "http://y.example"])
        assert links.evaluate_all("all => all.map(one => [one.getAttribute('href'), one.rel])") == [
            ["https://x.example/a?b=", "noopener noreferrer"],
            ["http://y.example", "noopener noreferrer"],
        ]
        assert page.locator("main img, main script, main iframe").count() == 0
        for address in page.locator("a").evaluate_all("all => all.map(one => one.getAttribute('href'))"):
            assert address.startswith(("/", "#", "?", "https://", "http://y.example")), address
    if scripts:
        expect(lines.nth(2).locator("span")).to_have_css("color", "rgb(255, 0, 0)")
        assert page.evaluate("window.cspReports") == []
    assert dialogs == [] and "pwned" not in page.title()


def follow_first(page):
    """Open the whole log of the stage that is shown; its name is none that an address can hold."""
    page.get_by_role("link", name="Full screen").click()
    return page


def corpus() -> list[str]:
    """Return lines with every kind of sequence, whole and torn."""
    dice = random.Random(5)
    parts = [
        "\x1b[31m",
        "\x1b[0m",
        "\x1b[m",
        "\x1b[1;4;38;5;196m",
        "\x1b[48;2;1;2;300m",
        "\x1b[38:5:3m",
        "\x1b[22;24;39m",
        "\x1b[7m",
        "\x1b[97;103m",
        "\x1b[K",
        "\x1b[2J",
        "\x1b]0;x\x07",
        "\x1b]8;;http://x\x1b\\",
        "\x1b]0;torn",
        "\x1b",
        "\x1b[",
        "\x1b[38;5",
        "\x1bP1\x1b\\",
        "\x9b31m",
        "\u202e",
        "\u2069",
        "\x00",
        "\x7f",
        "\r",
        "text",
        " <b> ",
        "\tx",
        "é",
        "\U0001f600",
        "\x1b[999999;1m",
        "\x1b(B",
        "\x1b[38;5;16;1m",
        "https://x.example/a_(b)?c=d#e",
        "http://[::1]:80/,",
        "https://",
        "(http://x.example/é).",
        "]);:!",
    ]
    return ["".join(dice.choices(parts, k=dice.randint(1, 9))) for _ in range(400)] + ["", "plain\n", "\x1b[31mred\r\n"]


def test_browser_and_server_read_colours_alike(make_project, serve, visit):
    """One corpus: the lines without scripts and those that scripts draw look the same, and lead to the same."""
    lines = corpus()
    page = visit(serve(make_project(unit="true"))).go("/login")
    shown = page.evaluate(
        "async (lines) => { const ansi = await import('/static/ansi.js'); return lines.map(ansi.pieces); }", lines
    )
    led = page.evaluate(
        """async (lines) => {
          const ansi = await import("/static/ansi.js");
          return Object.fromEntries(lines.map((line) => [line, ansi.pieces(line).map((one) => ansi.linked(one.text))]));
        }""",
        lines,
    )
    assert any(pair[1] for line in led.values() for links in line for pair in links)
    for text, theirs in zip(lines, shown, strict=True):
        ours = [
            {"text": one.text, "classes": one.classes, "color": one.color, "back": one.back} for one in pieces(text)
        ]
        assert theirs == ours, json.dumps(text)
        assert [linked(one.text) for one in pieces(text)] == [[tuple(pair) for pair in links] for links in led[text]], (
            json.dumps(text)
        )
        assert not any(character < " " and character != "\t" for one in ours for character in one["text"])
