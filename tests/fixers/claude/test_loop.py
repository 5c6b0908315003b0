"""Turns with the model, from the failure to what is handed in; every request goes through the real client."""

from __future__ import annotations

import time

import pytest
from messages_api import Reply, block, text, thinking, tool

from cicdctl.model.fixing import FixBudget, FixStatus, PreviousAttempt

BROKEN = "def mean(values):\n    return sum(values) / len(values)\n"


def test_happy_path(bench, words):
    """1F: it looks around, repairs, checks and hands in; thoughts go back with their signatures."""
    api = bench.api
    api.says(
        thinking("look"), text("I look."), tool("view", path="stats.py"), tool("grep", pattern="mean", glob="*.py")
    )
    bench.repairs()
    result = bench.fix()

    assert (result.status, result.changed) == (FixStatus.CHANGED, ("stats.py",))
    assert result.summary == "give an empty list a mean of 0"
    assert result.root_cause == "mean divides by the number of values"
    assert result.self_confidence == "high"
    assert bench.checks == [True]
    assert "if values else 0" in bench.read()
    assert (result.usage.turns, result.usage.checks) == (4, 1)
    assert result.usage.cost_usd == pytest.approx(4 * (1000 * 2 + 100 * 10) / 1e6)
    assert result.usage.cost_usd == pytest.approx(bench.spent)
    assert len(result.usage.request_ids) == 4
    assert result.usage.endpoint == api.url
    assert len(result.prompt_sha256) == 64
    assert result.tool_versions["anthropic"].partition(".")[0] == "2"
    viewed = api.asked[1]
    assert "     2      return sum(values) / len(values)" in viewed.result(0)
    assert "test_stats.py:4: def test_mean():" in viewed.result(1)
    assert viewed.body["messages"][1]["content"][0] == {
        "type": "thinking", "thinking": "look", "signature": viewed.body["messages"][1]["content"][0]["signature"],
    }  # fmt: skip
    assert api.remaining == 0


def test_first_message(bench):
    """It holds the failure, the code, what changed and the limits, between markers that nobody can guess."""
    bench.api.says(tool("give_up", reason="x", category="unknown"))
    bench.fix()
    body = bench.api.asked[0].body
    first = body["messages"][0]["content"][0]["text"]
    for part in (
        "ZeroDivisionError: division by zero",
        "stats.py, lines 1 to 2",
        "python -m pytest -q",
        "attempt 1 of 3",
    ):
        assert part in first
    assert body["model"] == "claude-sonnet-5-5"
    assert body["thinking"] == {"type": "adaptive"}
    assert body["output_config"] == {"effort": "medium"}
    assert body["max_tokens"] == 16_000
    assert body["stream"] is True
    marker = first.partition("<failure-")[2][:16]
    assert f"</failure-{marker}>" in first
    assert marker in body["system"][1]["text"]
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    names = [one["name"] for one in body["tools"]]
    assert names == ["view", "grep", "read_log", "str_replace", "create", "run_check", "submit", "give_up"]
    assert all(one["input_schema"]["additionalProperties"] is False for one in body["tools"])
    assert bench.reports == [
        "asking claude-sonnet-5-5 (attempt 1 of 3, limit $1.00)",
        "  turn 1, estimated $0.00: give_up",
    ]


def test_submit_needs_a_check(bench, words):
    """2F: refused before an edit, before a check, and after an edit behind the check; then taken."""
    api = bench.api
    api.says(words["submit"]())
    api.says(words["repair"](), words["submit"]())
    api.says(tool("run_check"))
    api.says(words["repair"]("    count = len(values)\n    return sum(values) / count if count else 0", bench_line()))
    api.says(words["submit"]())
    api.says(tool("run_check"))
    api.says(words["submit"]())
    result = bench.fix()

    assert "nothing has been edited" in api.asked[1].result()
    assert "no check has passed since the last edit" in api.asked[2].result(1)
    assert "no check has passed since the last edit" in api.asked[5].result()
    assert [one["is_error"] for one in api.asked[2].results()] == [False, True]
    assert (result.status, bench.checks) == (FixStatus.CHANGED, [True, True])


def bench_line() -> str:
    return "    return sum(values) / len(values) if values else 0"


def test_failed_check_is_shown(bench, words):
    """What a check said comes back, with how many are left; one too many is an error."""
    bench.request["budget"] = FixBudget(checks=1)
    bench.api.says(tool("run_check"))
    bench.api.says(tool("run_check"))
    bench.api.says(words["give_up"]())
    bench.fix()
    assert bench.api.asked[1].result().startswith("failed; 0 checks left\n")
    assert "ZeroDivisionError" in bench.api.asked[1].result()
    assert "all 1 checks are used" in bench.api.asked[2].result()
    assert bench.checks == [False]


def test_give_up(bench, words):
    """3F: the reason and the advice are told, and what was edited is as before."""
    bench.api.says(words["repair"]())
    bench.api.says(words["give_up"](suggestion="expect an error in test_empty"))
    result = bench.fix()
    assert result.status is FixStatus.GAVE_UP
    assert result.reason == "test_is_wrong: the test expects nonsense"
    assert (result.category, result.suggestion) == ("test_is_wrong", "expect an error in test_empty")
    assert result.changed == ()
    assert bench.read() == BROKEN


def test_cut_reply_is_never_executed(bench, words):
    """9F: a plausible call in a reply that was cut does nothing; the third such reply is the end."""
    for _ in range(3):
        bench.api.says(words["repair"](), stop="max_tokens")
    result = bench.fix()
    assert (result.status, result.reason) == (FixStatus.NO_CHANGE, "the model stopped without a tool (max_tokens)")
    assert bench.read() == BROKEN
    last = bench.api.asked[2].body["messages"]
    assert len(last) == 1
    assert last[0]["content"][-1]["text"].startswith("Your last reply could not be used (it was cut off)")
    assert len(last[0]["content"]) == 3


def test_unclosed_json_is_not_executed(bench, words):
    """10F: the library repairs it silently; we do not act on it, and the next turn goes on."""
    bench.api.says(tool("create", raw='{"path": "new.py", "content": "x = 1'), stop="tool_use")
    bench.repairs()
    result = bench.fix()
    assert "no whole JSON; nothing was done" in bench.api.asked[1].result()
    assert not (bench.worktree / "new.py").exists()
    assert result.status is FixStatus.CHANGED


def test_talkative_model_stops(bench):
    """17F: words without a tool are not asked for more than three times."""
    for _ in range(3):
        bench.api.says(text("The error is in line 2. You could fix it by hand."))
    result = bench.fix()
    assert result.reason == "the model stopped without a tool (end_turn)"
    assert len(bench.api.asked) == 3


def test_equal_turns(bench):
    """18F: three times the same is stuck."""
    for _ in range(3):
        bench.api.says(tool("view", path="stats.py"))
    assert bench.fix().reason == "stuck: 3 turns in a row did the same"
    assert len(bench.api.asked) == 3


def test_turn_budget(bench):
    """19F: no request after the last turn."""
    bench.request["budget"] = FixBudget(turns=4)
    for line in range(1, 9):
        bench.api.says(tool("view", path="stats.py", start=1, end=line))
    assert bench.fix().reason == "all 4 turns are used"
    assert len(bench.api.asked) == 4


def test_output_tokens(bench):
    """The last reply may only be as long as what is left; then it is over."""
    bench.request["budget"] = FixBudget(output_tokens=1000)
    bench.api.says(tool("view", path="stats.py"), usage={"output_tokens": 900})
    bench.api.says(tool("view", path="."), usage={"output_tokens": 100})
    assert bench.fix().reason == "all 1000 output tokens are used"
    assert [one.body["max_tokens"] for one in bench.api.asked] == [1000, 100]


def test_cost_budget(bench):
    """20F: what the next call may cost is booked before it is made; nothing is asked that could go beyond."""
    bench.limit_usd = 0.5
    bench.request["budget"] = FixBudget(cost_usd=0.5)
    for line in range(1, 9):
        bench.api.says(tool("view", path="stats.py", start=1, end=line), usage={"output_tokens": 15_000})
    result = bench.fix()
    assert result.status is FixStatus.NO_CHANGE
    assert result.reason.startswith("the budget is used up: the next call may cost $0.1")
    assert len(bench.api.asked) == 3
    assert bench.spent <= 0.5
    assert len(bench.booked) == len(bench.used)


def test_no_call_after_the_one_that_went_beyond(bench):
    """20F: what the service reckons may be more than was booked; then that call was the last one."""
    bench.limit_usd = 0.5
    for line in range(1, 4):
        bench.api.says(tool("view", path="stats.py", start=1, end=line), usage={"input_tokens": 400_000})
    result = bench.fix()
    assert result.reason.startswith("the budget is used up: the next call may cost $0.1")
    assert len(bench.api.asked) == 1
    assert bench.spent == pytest.approx(0.8 + 0.001)


def test_wrong_calls_are_answers(bench, words):
    """23F: unknown tools and arguments, wrong types, and a pattern that never ends; the loop goes on."""
    api = bench.api
    bench.write("long.txt", "a" * 60 + "!\n")
    api.says(
        tool("bash", command="ls"),
        tool("view"),
        tool("view", path="stats.py", lines=3),
        tool("view", path=7),
        tool("view", path="stats.py", start=True),
        tool("submit", root_cause="x", explanation="y", confidence="total"),
        tool("grep", pattern="(a+)+$", glob="long.txt"),
        tool("grep", pattern="(("),
    )
    bench.repairs()
    result = bench.fix()
    answers = [one["content"] for one in api.asked[1].results()]
    assert [one["is_error"] for one in api.asked[1].results()] == [True] * 8
    assert answers[0].startswith("there is no such tool; there are: view, grep")
    assert answers[1] == "argument 'path' is missing"
    assert answers[2] == "there is no argument 'lines'; there are: path, start, end"
    assert answers[3] == "argument 'path' must be of type string"
    assert answers[4] == "argument 'start' must be of type integer"
    assert answers[5] == "argument 'confidence' must be one of: low, medium, high"
    assert answers[6] == "the search took longer than 2 s; use a simpler pattern"
    assert answers[7].startswith("the pattern makes no sense")
    assert result.status is FixStatus.CHANGED


def test_unknown_kinds(bench):
    """24F: a block of a later year goes back as it came, a stop reason of one is asked again."""
    bench.api.says(block(type="hologram", depth=3), tool("view", path="stats.py"))
    bench.api.says(text("later"), stop="tired")
    bench.repairs()
    assert bench.fix().status is FixStatus.CHANGED
    assert bench.api.asked[1].body["messages"][1]["content"][0] == {"type": "hologram", "depth": 3}
    assert "it stopped too early" in bench.api.asked[2].words()


def test_blank_words_are_not_sent_back(bench):
    """The service does not take its own blank text."""
    bench.api.says(text(" \n"), tool("view", path="stats.py"))
    bench.repairs()
    assert bench.fix().status is FixStatus.CHANGED


def test_long_conversation_loses_old_results(bench):
    """Above 60 % of the context all but the last five results are left out."""
    bench.write("long.txt", "words and words\n" * 900)
    bench.request["budget"] = FixBudget(context_tokens=42_000, turns=9)
    for line in range(1, 10):
        bench.api.says(tool("view", path="long.txt", start=line))
    result = bench.fix()
    assert result.reason == "all 9 turns are used"
    shown = [
        one["content"]
        for message in bench.api.asked[-1].body["messages"]
        if message["role"] == "user"
        for one in message["content"]
        if one["type"] == "tool_result"
    ]
    assert all(one.startswith("[output elided, 1") for one in shown[:3])
    assert all("words and words" in one for one in shown[-5:])


def test_conversation_that_does_not_fit(bench):
    """Results that are still needed are never cut in half: then it is over."""
    bench.write("long.txt", "words and words\n" * 900)
    bench.request["budget"] = FixBudget(context_tokens=10_000)
    for line in range(1, 5):
        bench.api.says(tool("view", path="long.txt", start=line))
    assert bench.fix().reason == "the conversation has grown above 10000 tokens"


def test_time_and_cancel(bench):
    """Neither after its deadline nor when nobody wants it is anything asked; and not when a check takes too long."""
    bench.is_cancelled = True
    assert bench.fix().reason == "cancelled"
    bench.is_cancelled = False
    assert bench.fix(deadline=time.monotonic() - 1).reason == "the time is up"
    slow = bench.fix(bundle=bench.make_bundle(seconds=25.0))
    assert (slow.status, slow.reason) == (
        FixStatus.UNAVAILABLE,
        "the stage takes 25 s: too long for checks within fix.timeout",
    )
    assert bench.api.asked == []


def test_cancel_in_the_midst(bench):
    """A call that was announced is not made any more, nor is anything asked."""

    def cancel(request):
        bench.is_cancelled = True
        return Reply((tool("create", path="new.py", content="x = 1\n"),))

    bench.api.will(cancel)
    assert bench.fix().reason == "cancelled"
    assert not (bench.worktree / "new.py").exists()
    assert len(bench.api.asked) == 1


def test_findings_of_the_guards_come_back(bench, words):
    """What the engine blocks is told once, in the same conversation; what is then handed in counts."""
    bench.repairs()
    assert bench.fix().status is FixStatus.CHANGED
    bench.api.says(words["repair"]("    return sum(values) / (len(values) or 1)", bench_line()))
    bench.api.says(tool("run_check"))
    bench.api.says(words["submit"]("divide by one at least"))

    result = bench.fix(feedback="special-case: a literal of the failing assertion (stats.py:2)")

    assert (result.status, result.summary) == (FixStatus.CHANGED, "divide by one at least")
    told = bench.api.asked[3]
    assert [one["content"] for one in told.results()] == ["handed in"]
    assert "special-case: a literal of the failing assertion (stats.py:2)" in told.words()
    assert "Revert that part or call give_up" in told.words()
    assert result.usage.turns == 6
    assert "or 1" in bench.read()


def test_earlier_attempts_and_last_model(bench, words):
    """The last attempt has the stronger model, and is told what was tried before."""
    earlier = PreviousAttempt(fixer="claude", diff="-old\n+new\n", signature="s", reason="stage build broke")
    bench.api.says(words["give_up"]())
    bench.fix(attempt=3, previous=(earlier,))
    request = bench.api.asked[0]
    assert request.model == "claude-opus-5-5"
    assert "stage build broke\n-old\n+new" in request.words()


def test_read_log(bench):
    """The whole log is there, by lines or by what matches."""
    bench.logs["unit"] = "\n".join(f"line {number}" for number in range(1, 200))
    bench.api.says(
        tool("read_log", start=5, end=6), tool("read_log", pattern="line 19[0-9]"), tool("read_log", stage="lint")
    )
    bench.api.says(tool("give_up", reason="x", category="unknown"))
    bench.fix()
    answers = [one["content"] for one in bench.api.asked[1].results()]
    assert "     5  line 5\n     6  line 6\n" in answers[0]
    assert "190: line 190" in answers[1]
    assert answers[2] == "there is no log of such a stage"


def test_transcript(bench):
    """Who said what, without thoughts; nothing when none is wanted."""
    bench.repairs()
    lines = bench.fix().transcript
    assert any('"role": "model"' in line and '"tool": "str_replace"' in line for line in lines)
    assert any('"role": "tool"' in line and "passed" in line for line in lines)
    assert not any("let me see" in line for line in lines)

    bench._fixer = None
    bench.options["transcript"] = "none"
    bench.api.says(tool("give_up", reason="x", category="unknown"))
    assert bench.fix().transcript == ()
