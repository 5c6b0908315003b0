"""The fixer as the engine sees it: whether it is worth asking, and one attempt."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cicdctl.errors import ConfigError
from cicdctl.fixers.claude.endpoint import Endpoint, find_endpoint
from cicdctl.fixers.claude.options import ClaudeOptions
from cicdctl.kinds import FixerKind
from cicdctl.model.fixing import Applicability, FailureBundle, FixRequest, FixResult, FixStatus

if TYPE_CHECKING:
    from cicdctl.fixers.claude.loop import Session
    from cicdctl.fixers.claude.tools_shell import Shell

NAME = "claude"
SANDBOXED_SHELL = "sandboxed-shell"
VERSION = "1"
_NEVER = {
    "infra": "the infrastructure failed, not the code",
    "config": "the pipeline has to be repaired by a person",
    "flaky": "a flaky failure is not repaired",
    "lock": "lock files are not for a model",
}


def kind_in(
    environ: Mapping[str, str],
    state_folder: Callable[[], Path] | None = None,
    open_shell: Callable[[], Shell] | None = None,
) -> FixerKind:
    """Return the kind for a project: its environment has the key, its state folder may have other prices.

    `open_shell` gives the shell of an attempt, where `tools` asks for one.
    """
    return FixerKind(
        name=NAME,
        options_type=ClaudeOptions,
        open=lambda options: ClaudeFixer(options, environ, state_folder, open_shell=open_shell),
    )


class ClaudeFixer:
    """Asks a model. Once for each fix; `sleep` is how it waits between two tries, in seconds."""

    kind: Literal["command", "ai"] = "ai"
    name = NAME
    version = VERSION
    priority = 100

    def __init__(
        self,
        options: ClaudeOptions,
        environ: Mapping[str, str],
        state_folder: Callable[[], Path] | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        open_shell: Callable[[], Shell] | None = None,
    ) -> None:
        self._options = options
        self._state_folder = state_folder
        self._sleep = sleep
        self._session: Session | None = None
        self._endpoint = find_endpoint(options, environ)
        self._open_shell = open_shell if options.tools == SANDBOXED_SHELL else None
        self.problem = self._endpoint if isinstance(self._endpoint, str) else self._why_no_tools()

    def _why_no_tools(self) -> str | None:
        tools = self._options.tools
        if tools == "edit":
            return None
        if tools != SANDBOXED_SHELL or self._open_shell is None:
            return f'tools = "{tools}" is not provided; there are "edit" and "{SANDBOXED_SHELL}"'
        from cicdctl.fixers.claude.tools_shell import why_no_shell

        return why_no_shell()

    def can_fix(self, bundle: FailureBundle) -> Applicability:
        """See `Fixer.can_fix`."""
        if self.problem is not None:
            return Applicability(answer="no", reason=self.problem)
        if bundle.category in _NEVER:
            return Applicability(answer="no", reason=_NEVER[bundle.category])
        if bundle.category == "unknown" and not self._options.on_unknown:
            return Applicability(answer="no", reason="what failed is not understood (fixers.claude.on_unknown)")
        return Applicability(answer="maybe", reason=f"a failure of kind {bundle.category}")

    def fix(self, request: FixRequest) -> FixResult:
        """See `Fixer.fix`. The client library is imported here, in the engine's thread for it."""
        if not isinstance(self._endpoint, Endpoint) or self.problem is not None:
            return FixResult(status=FixStatus.UNAVAILABLE, reason=self.problem or "there is no key")
        left_s = request.deadline - time.monotonic()
        if left_s <= 0:
            return FixResult(status=FixStatus.NO_CHANGE, reason="the time is up")
        if 3 * request.bundle.seconds > left_s:
            reason = f"the stage takes {request.bundle.seconds:.0f} s: too long for checks within fix.timeout"
            return FixResult(status=FixStatus.UNAVAILABLE, reason=reason)
        try:
            return self._ask(self._endpoint, request)
        except ImportError as error:
            reason = f"the package anthropic cannot be imported ({error.name or 'too old'}); version 2.12 or later"
            return FixResult(status=FixStatus.UNAVAILABLE, reason=reason)
        except ConfigError as error:
            return FixResult(status=FixStatus.UNAVAILABLE, reason=error.message)

    def _ask(self, endpoint: Endpoint, request: FixRequest) -> FixResult:
        from cicdctl.fixers.claude.endpoint import load_sdk, open_client
        from cicdctl.fixers.claude.loop import Session
        from cicdctl.fixers.claude.models import load_models

        version = str(load_sdk().__version__)
        with open_client(endpoint, self._options) as client:
            before = self._session
            if request.feedback and before is not None and before.request.worktree == request.worktree:
                return before.go_on(request, client, version)
            models = load_models(self._state_folder() if self._state_folder else None)
            self._session = Session(self._options, models, endpoint, request, self._sleep, self._open_shell)
            return self._session.run(client, version)
