"""One attempt: turns with the model until it hands in, gives up, or something is used up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from cicdctl.errors import CicdError
from cicdctl.fixers.claude.conditions import Ending
from cicdctl.fixers.claude.conversation import Conversation
from cicdctl.fixers.claude.endpoint import Endpoint, host_of
from cicdctl.fixers.claude.models import CHARS_PER_TOKEN, Models
from cicdctl.fixers.claude.options import ClaudeOptions
from cicdctl.fixers.claude.reply import Reply
from cicdctl.fixers.claude.schemas import tool_schemas
from cicdctl.fixers.claude.service import NeedsFallback, Service, TooLong
from cicdctl.fixers.claude.toolbox import MOST_REFUSED, Toolbox
from cicdctl.fixers.claude.transcript import Transcript
from cicdctl.fixers.claude.wording import between, first_message, new_word, prompt, prompt_sha256
from cicdctl.fixing.defang import defang, defang_line, visible
from cicdctl.model.fixing import FixRequest, FixResult, FixStatus, FixUsage

if TYPE_CHECKING:
    from anthropic import Anthropic

    from cicdctl.fixers.claude.tools_shell import Shell

    OpenShell = Callable[[], Shell]

MOST_NUDGES = 2
MOST_EQUAL = 3
ELIDE_ABOVE = 0.6


class Session:
    """The conversation of one attempt. It may go on after the engine's guards have looked at what was handed in."""

    def __init__(
        self,
        options: ClaudeOptions,
        models: Models,
        endpoint: Endpoint,
        request: FixRequest,
        sleep: Callable[[float], None],
        open_shell: OpenShell | None = None,
    ) -> None:
        self.request = request
        self._open_shell = open_shell
        self._options = options
        self._models = models
        self._endpoint = host_of(endpoint)
        self._sleep = sleep
        self._marker = new_word()
        self._canary = f"canary-{new_word()}"
        is_last = request.max_attempts > 1 and request.attempt >= request.max_attempts
        self._model, self._fallback = models.choose(options, is_last=is_last)
        self._share = 1.0
        self._used = FixUsage()
        self._nudges = 0
        self._tools = self._open_tools()
        self._talk: Conversation | None = None
        self._transcript = Transcript(wanted=options.transcript == "redacted", redact=request.redact)

    def run(self, client: Anthropic, version: str) -> FixResult:
        """Go on until there is an answer."""
        try:
            result = self._attempt(client)
        except Ending as ending:
            self._tools.edits.restore()
            result = FixResult(
                status=ending.status,
                reason=self._line(ending.reason),
                category=ending.category,
                suggestion=self._block(ending.suggestion),
                retry_at=ending.retry_at,
            )
        except CicdError as error:  # what could not be redacted is not sent
            self._tools.edits.restore()
            result = FixResult(status=FixStatus.ERROR, reason=f"no more is sent: {error.message}")
        return replace(
            result,
            usage=replace(self._used, checks=self._tools.checks),
            transcript=self._transcript.lines,
            prompt_sha256=prompt_sha256(),
            tool_versions={"anthropic": version, **({"shell": "bwrap, no network"} if self._open_shell else {})},
        )

    def go_on(self, request: FixRequest, client: Anthropic, version: str) -> FixResult:
        """Tell the model what the guards found in what it handed in, and let it go on."""
        self.request = self._tools.request = request
        self._tools.submitted = None
        findings = between("rules", request.redact(request.feedback or ""), self._marker)
        self._say(prompt("feedback").format(findings=findings))
        return self.run(client, version)

    def _attempt(self, client: Anthropic) -> FixResult:
        limit = self.request.budget.cost_usd
        attempt = f"attempt {self.request.attempt} of {self.request.max_attempts}"
        if self._talk is None:
            self.request.report(f"asking {self._model} ({attempt}, limit ${limit:.2f})")
        while True:
            try:
                return self._turns(client)
            except NeedsFallback as error:
                if self._fallback is None:
                    raise error.ending from error
                self.request.report(f"{error.ending.reason}; asking {self._fallback} instead")
                # From the beginning: signatures belong to a model, and what was refused is refused again.
                self._model, self._fallback = self._fallback, None
                self._start_again()
            except TooLong as error:
                if self._share < 1.0:
                    raise Ending(FixStatus.NO_CHANGE, "the failure is too long for the model") from error
                self._share = 0.5
                self._start_again()

    def _open_tools(self) -> Toolbox:
        commands = self._open_shell() if self._open_shell else None
        return Toolbox(self.request, marker=self._marker, commands=commands)

    def _start_again(self) -> None:
        self._tools.edits.restore()
        self._tools = self._open_tools()
        self._talk = None
        self._nudges = 0

    def _turns(self, client: Anthropic) -> FixResult:
        if self._talk is None:
            first = first_message(self.request, self._options, marker=self._marker, share=self._share)
            self._talk = Conversation(first)
            self._transcript.said("user", first)
        service = Service(
            client,
            self._options,
            self.request,
            model=self._model,
            price=self._models.price(self._model),
            endpoint=self._endpoint,
            sleep=self._sleep,
            settled=self._settled,
        )
        while True:
            self._stop_when_used_up()
            reply = service.ask(self._body(self._talk))
            self._transcript.replied(reply, self._model)
            self._look_for_canary(reply)
            if reply.stop == "refusal":
                why = f" ({reply.refusal})" if reply.refusal.replace("_", "").isalpha() else ""
                raise NeedsFallback(Ending(FixStatus.REFUSED, f"{self._model} refuses to work on this failure{why}"))
            if reply.stop == "model_context_window_exceeded":
                raise TooLong("the context of the model is full")
            if reply.stop != "tool_use" or not reply.calls:
                self._nudge(reply.stop)
                continue
            self._use_tools(reply, self._talk)
            if self._tools.is_done:
                return self._result()
            self._stop_when_stuck(reply, self._talk)

    def _body(self, talk: Conversation) -> dict[str, Any]:
        left = self.request.budget.output_tokens - self._used.output_tokens
        system = [
            {"type": "text", "text": self._orders(), "cache_control": {"type": "ephemeral"}},
            {
                "type": "text",
                "text": f"The markers of this conversation end in {self._marker}. Never write {self._canary}.",
            },
        ]
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": max(1, min(self._options.max_tokens, left)),
            "system": system,
            "messages": talk.messages,
            "tools": tool_schemas(self._tools.tools),
            "cache_control": {"type": "ephemeral"},
        }
        if self._models.price(self._model).adaptive:
            body |= {"thinking": {"type": "adaptive"}, "output_config": {"effort": self._options.effort}}
        return body

    def _orders(self) -> str:
        return prompt("system") if self._open_shell is None else f"{prompt('system')}\n\n# A shell\n\n{prompt('shell')}"

    def _stop_when_used_up(self) -> None:
        """Raise Ending before a call that may not be made."""
        budget, used = self.request.budget, self._used
        if used.turns >= budget.turns:
            raise Ending(FixStatus.NO_CHANGE, f"all {budget.turns} turns are used")
        if used.output_tokens >= budget.output_tokens:
            raise Ending(FixStatus.NO_CHANGE, f"all {budget.output_tokens} output tokens are used")
        assert self._talk is not None
        size = len(json.dumps(self._talk.messages)) / CHARS_PER_TOKEN
        if size > budget.context_tokens * ELIDE_ABOVE:
            self._talk.elide()
            size = len(json.dumps(self._talk.messages)) / CHARS_PER_TOKEN
        if size > budget.context_tokens:
            raise Ending(FixStatus.NO_CHANGE, f"the conversation has grown above {budget.context_tokens} tokens")

    def _nudge(self, stop: str) -> None:
        self._nudges += 1
        why = {"max_tokens": "it was cut off", "tool_use": "it called no tool", "end_turn": "it called no tool"}
        if self._nudges > MOST_NUDGES:
            raise Ending(FixStatus.NO_CHANGE, f"the model stopped without a tool ({stop[:40]})")
        self._say(prompt("nudge").format(why=why.get(stop, "it stopped too early")))

    def _say(self, words: str) -> None:
        assert self._talk is not None
        self._talk.say(words)
        self._transcript.said("user", words)

    def _use_tools(self, reply: Reply, talk: Conversation) -> None:
        names = ", ".join(dict.fromkeys(call.name for call in reply.calls))
        self.request.report(f"  turn {self._used.turns}, estimated ${self._used.cost_usd:.2f}: {defang_line(names)}")
        results = []
        for call in reply.calls:
            if self._tools.is_done:
                text, is_error = "not done: the attempt is over", True
            elif self.request.cancelled() or time.monotonic() >= self.request.deadline:
                text, is_error = "not done: the time is up", True
            else:
                text, is_error = self._tools.use(call)
            results.append((call, text, is_error))
            self._transcript.resulted(call, text, is_error)
        talk.add_turn(reply, results)

    def _stop_when_stuck(self, reply: Reply, talk: Conversation) -> None:
        if self._tools.refused >= MOST_REFUSED:
            raise Ending(FixStatus.NO_CHANGE, f"{MOST_REFUSED} edits of protected files were refused")
        if talk.equal_turns() >= MOST_EQUAL:
            raise Ending(FixStatus.NO_CHANGE, f"stuck: {MOST_EQUAL} turns in a row did the same")

    def _look_for_canary(self, reply: Reply) -> None:
        """Stop at once when the model gives away its instructions: what it read has taken over."""
        written = reply.text + json.dumps([call.input for call in reply.calls], default=str)
        if self._canary in written:
            category = "injection_suspected"
            reason = "injection_suspected: the model wrote what it was told never to write"
            raise Ending(FixStatus.REFUSED, reason, category=category)

    def _settled(self, usage: FixUsage) -> None:
        used = self._used
        self._used = replace(
            used,
            turns=used.turns + usage.turns,
            input_tokens=used.input_tokens + usage.input_tokens,
            output_tokens=used.output_tokens + usage.output_tokens,
            cache_read_tokens=used.cache_read_tokens + usage.cache_read_tokens,
            cache_write_tokens=used.cache_write_tokens + usage.cache_write_tokens,
            cost_usd=used.cost_usd + usage.cost_usd,
            model=usage.model,
            endpoint=usage.endpoint,
            request_ids=(*used.request_ids, *usage.request_ids),
        )

    def _result(self) -> FixResult:
        tools = self._tools
        if tools.given_up is not None:
            given = tools.given_up
            tools.edits.restore()
            return FixResult(
                status=FixStatus.GAVE_UP,
                reason=f"{given['category']}: {self._line(given['reason'])}",
                root_cause=self._block(given["reason"]),
                suggestion=self._block(given.get("suggestion", "")),
                category=given["category"],
            )
        given = tools.submitted or {}
        return FixResult(
            status=FixStatus.CHANGED,
            summary=self._line(given["explanation"].strip().partition("\n")[0]),
            root_cause=self._block(given["root_cause"]),
            suggestion="",
            self_confidence=given["confidence"],
            changed=tools.edits.changed(),
        )

    def _line(self, text: str) -> str:
        return defang_line(self.request.redact(visible(text)), 300)

    def _block(self, text: str) -> str:
        return defang(self.request.redact(visible(text)))
