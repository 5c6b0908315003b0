"""Makes the key of a stage from what only the engine knows: trees, needs, secrets, tools on this machine."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping, Sequence
from hashlib import sha256

from cicdctl.model import PlannedStage, Stage, StageResult, Value
from cicdctl.planning import KeyParts, named_variables, stage_key, stage_texts
from cicdctl.project import Project
from cicdctl.runner.fingerprints import Fingerprints
from cicdctl.runner.prepare import Prepared
from cicdctl.runner.variables import stage_variables


class Identity(Value, frozen=True, kw_only=True):
    """The key of one stage, the components by name, and what the stage will see that they were made from."""

    key: str
    components: Mapping[str, str]
    commands: tuple[str, ...]
    env: Mapping[str, str]


class KeyMaker:
    """Makes the keys of one run; tools are asked for their version once per run."""

    def __init__(
        self, project: Project, prepared: Prepared, *, variables: Mapping[str, str], secrets: Mapping[str, str]
    ):
        self._project = project
        self._prepared = prepared
        self._variables = variables
        self._secrets = secrets
        self._fingerprints = Fingerprints(project, prepared.run)
        self._inherited = {
            name: project.environ[name] for name in project.settings.orchestrator.env_allow if name in project.environ
        }
        system = os.uname()
        self._platform = f"{system.sysname.lower()} {system.machine}"

    def identify(self, planned: PlannedStage, ancestors: Sequence[StageResult]) -> Identity:
        """Return the identity of a stage whose needs have ended. Raises PluginError, ConfigError or StoreError."""
        run, stage = self._prepared.run, planned.stage
        resolved = self._prepared.commands[stage.name]
        outputs = {name: value for result in ancestors for name, value in result.outputs.items()}
        declared = {**self._inherited, **resolved.env, **stage.env}
        variables = {**self._variables, **stage_variables(planned, outputs)}
        texts = stage_texts(resolved.run, planned, declared)
        key, components = stage_key(
            KeyParts(
                planned=planned,
                commands=resolved.run,
                inputs=self._project.repository.input_digest(run.tree, stage.inputs),
                env=declared,
                params=run.params,
                artifacts=tuple((result.stage, result.manifest) for result in ancestors if result.manifest),
                outputs=outputs,
                platform=self._platform,
                fingerprint={
                    command: self._fingerprints.ask(command, stage, declared)
                    for command in (*resolved.fingerprint, *stage.fingerprint)
                },
                secrets={name: self._digest(self._secrets[name]) for name in stage.secrets if name in self._secrets},
                sandbox=self._confinement(stage),
                variables=named_variables(texts, variables),
                commit=run.commit if stage.history else None,
                trust=run.trust.value,
            )
        )
        return Identity(key=key, components=components, commands=resolved.run, env={**variables, **declared})

    def _confinement(self, stage: Stage) -> str:
        words = stage.sandbox if stage.network else f"{stage.sandbox}, no network"
        # In a repository of its own there is no history to read.
        return f"{words}, no history" if stage.history and self._prepared.isolates else words

    def interrupt(self, reason: str) -> None:
        """Ask no tool any more, and end the one that is being asked; for a signal handler."""
        self._fingerprints.interrupt(reason)

    def _digest(self, secret: str) -> str:
        return hmac.new(self._project.host_key, secret.encode("utf-8", "surrogateescape"), sha256).hexdigest()
