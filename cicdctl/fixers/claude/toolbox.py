"""Does what the model calls tools for: reads, edits, checks; and knows when it may hand in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cicdctl.fixers.claude.editing import Edits, Refused
from cicdctl.fixers.claude.hiding import hide_all
from cicdctl.fixers.claude.reading import ToolError, is_folder, lines_of, list_folder, read_text
from cicdctl.fixers.claude.reply import Call
from cicdctl.fixers.claude.schemas import tools_of
from cicdctl.fixers.claude.search import grep, grep_text
from cicdctl.fixers.claude.wording import between, clip
from cicdctl.fixing.defang import defang_line
from cicdctl.git import compile_globs
from cicdctl.model.fixing import EditRefused, FixRequest

if TYPE_CHECKING:
    from cicdctl.fixers.claude.tools_shell import Ran, Shell

VIEW_CHARS = 16_000
CHECK_CHARS = 8_000
MOST_REFUSED = 5
MOST_TAKEN = 20  # files, of one command
_MOST_COLUMNS = 2_000


class Toolbox:
    """The tools of one attempt. What they answer is redacted, and stands between markers."""

    def __init__(self, request: FixRequest, *, marker: str, commands: Shell | None = None) -> None:
        self.request = request
        self.tools = tools_of(has_shell=commands is not None)
        self._commands = commands
        self._marker = marker
        self._globs = compile_globs(request.allowed_paths) if request.allowed_paths else None
        self.edits = Edits(request.worktree, self._allow, self._hide)
        self.checks = 0
        self.refused = 0
        self.submitted: Mapping[str, Any] | None = None
        self.given_up: Mapping[str, Any] | None = None
        self._passed_at: int | None = None  # the count of edits when a check has passed

    @property
    def is_done(self) -> bool:
        """Whether it was handed in or given up."""
        return self.submitted is not None or self.given_up is not None

    def use(self, call: Call) -> tuple[str, bool]:
        """Return the answer to one call, and whether it is an error. Raises RedactionFailed."""
        tool = self.tools.get(call.name)
        if tool is None:
            return f"there is no such tool; there are: {', '.join(self.tools)}", True
        problem = call.problem or tool.problem(call.input)
        if problem is not None:
            return problem, True
        work: Callable[..., str] = getattr(self, f"_{call.name}")
        try:
            return work(**call.input), False
        except Refused as error:
            self.refused += 1
            return self._hide(str(error)), True
        except ToolError as error:
            return self._hide(str(error)), True

    def _hide(self, text: str) -> str:
        return hide_all(text, self.request.redact)

    def _allow(self, path: str) -> None:
        self.request.may_write(path)
        if self._globs is not None and not self._globs(path.encode("utf-8", "surrogateescape")):
            raise EditRefused("paths: this fixer may not change it")

    def _view(self, path: str, start: int | None = None, end: int | None = None) -> str:
        path = path.rstrip("/").removeprefix("./")
        if path == ".":
            path = ""
        worktree = self.request.worktree
        if is_folder(worktree, path):
            return self._shown("\n".join(list_folder(worktree, path)))
        # As a whole: half a private key looks like nothing.
        return self._numbered(self._hide(read_text(worktree, path)), start, end)

    def _grep(self, pattern: str, glob: str | None = None) -> str:
        return self._shown(grep(self.request.worktree, pattern, glob, self._hide))

    def _read_log(
        self, stage: str | None = None, pattern: str | None = None, start: int | None = None, end: int | None = None
    ) -> str:
        log = self.request.log(stage or self.request.bundle.stage)
        if log is None:
            raise ToolError("there is no log of such a stage")
        return (
            self._shown(grep_text(log, pattern, self._hide)) if pattern is not None else self._numbered(log, start, end)
        )

    def _str_replace(self, path: str, old_str: str, new_str: str) -> str:
        around = self.edits.replace(path, old_str, new_str)
        self.request.report(f"    edited {path}")
        return self._shown(around)

    def _create(self, path: str, content: str) -> str:
        answer = self.edits.create(path, content)
        self.request.report(f"    created {path}")
        return answer

    def _shell(self, command: str) -> str:
        assert self._commands is not None
        assert self.request.distil is not None
        lines = self.request.redact(command).strip().splitlines() or [""]
        self.request.report(f"    shell: {defang_line(lines[0], 100)}{' …' if len(lines) > 1 else ''}")
        ran = self._commands.run(self.request, command)
        text = self.request.distil(ran.output)
        parts = [ran.words, *self._take_over(ran)]
        return "\n".join([*parts, self._shown(text, CHECK_CHARS) if text else "no output"])

    def _take_over(self, ran: Ran) -> Iterator[str]:
        """Make edits of what a command did to files, as far as edits may do that; say which they are."""
        taken: list[str] = []
        refused = [f"{path}: files are neither deleted nor replaced here" for path in ran.lost]
        if len(ran.changed) > MOST_TAKEN:
            refused.append(f"{len(ran.changed)} files are more than {MOST_TAKEN}")
        else:
            is_protected = False
            for path, data in ran.changed.items():
                try:
                    self.edits.take_over(path, data)
                except ToolError as error:
                    is_protected |= isinstance(error, Refused)
                    refused.append(f"{path}: {error}")
                else:
                    taken.append(path)
                    self.request.report(f"    edited {path}")
            self.refused += is_protected
        if taken:
            yield "taken over as your edits:\n" + self._shown("\n".join(taken))
        if refused:
            yield "not taken over:\n" + self._shown("\n".join(refused[:MOST_TAKEN]))

    def _run_check(self) -> str:
        most = self.request.budget.checks
        if self.checks >= most:
            raise ToolError(f"all {most} checks are used; submit what has passed, or give_up")
        self.checks += 1
        outcome = self.request.check()
        self._passed_at = self.edits.count if outcome.passed else None
        self.request.report(f"    check {self.checks} {'passed' if outcome.passed else 'failed'}")
        word = "passed" if outcome.passed else "failed"
        return f"{word}; {most - self.checks} checks left\n{self._shown(outcome.text, CHECK_CHARS)}"

    def _submit(self, **given: Any) -> str:
        if not self.edits.changed():
            raise ToolError("nothing has been edited; edit, or give_up")
        if self._passed_at != self.edits.count:
            raise ToolError("no check has passed since the last edit; call run_check first")
        self.submitted = given
        return "handed in"

    def _give_up(self, **given: Any) -> str:
        self.given_up = given
        return "given up"

    def _numbered(self, text: str, start: int | None, end: int | None) -> str:
        lines = lines_of(text)
        first = max(1, start or 1)
        last = min(len(lines), end if end is not None else len(lines))
        if first > last:
            raise ToolError(f"there are no such lines; it has {len(lines)}")
        shown, used = [], 0
        for number in range(first, last + 1):
            line = f"{number:6}  {lines[number - 1][:_MOST_COLUMNS]}"
            used += len(line) + 1
            if used > VIEW_CHARS:
                shown.append(f"[cut after line {number - 1} of {len(lines)}]")
                break
            shown.append(line)
        return self._shown("\n".join(shown))

    def _shown(self, text: str, most: int = VIEW_CHARS) -> str:
        return between("output", clip(self._hide(text), most), self._marker)
