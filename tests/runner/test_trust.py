"""Runs of refs that nobody vouched for: what is withheld from them, and that they poison nothing."""

from __future__ import annotations

import shutil

import pytest

from cicdctl.model import RunSummary, Trust, Verdict
from cicdctl.planning import trust_of
from cicdctl.plugin_api import hookimpl
from cicdctl.project import open_project
from cicdctl.project_config import Invocation
from cicdctl.runner import RunRequest, run_pipeline


class Listener:
    def __init__(self) -> None:
        self.told: list[str] = []

    @hookimpl
    def cicdctl_warning(self, text: str) -> None:
        self.told.append(text)


def run(project, *, trust: Trust) -> tuple[RunSummary, list[str]]:
    listener = Listener()
    with open_project(Invocation(directory=project.path, environ=project.env | {"TOKEN": "secret-value"})) as opened:
        opened.plugins.register(listener, "listener")
        return run_pipeline(opened, RunRequest(pipeline="build", trust=trust)), listener.told


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="untrusted stages need bubblewrap")
def test_untrusted_run_has_no_secret_no_network_and_no_side_effects(make_project, tmp_path):
    """The same file: trusted it sees its secret and deploys, untrusted it does neither, and says so."""
    config = f"""
[pipelines.build.stages.look]
run = '''test "$TOKEN" = secret-value || test "$(grep -c : /proc/net/dev)" = 1'''
secrets = ["TOKEN"]
[pipelines.build.stages.deploy]
run = "touch {tmp_path}/deployed"
side_effects = true
"""
    project = make_project(config)
    summary, told = run(project, trust=Trust.UNTRUSTED)
    look, deploy = summary.stages
    assert look.verdict is Verdict.PASSED and look.attempts[0].sandbox == "bwrap"
    assert deploy.verdict is Verdict.SKIPPED and "not trusted" in (deploy.reason or "")
    assert not (tmp_path / "deployed").exists()
    assert any("secrets are withheld: TOKEN" in text for text in told)
    summary, _ = run(project, trust=Trust.TRUSTED)
    assert [result.cached for result in summary.stages] == [False, False]
    assert (tmp_path / "deployed").exists()


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="untrusted stages need bubblewrap")
def test_untrusted_result_is_never_served_to_a_trusted_run(make_project):
    """Equal inputs, other trust: another key; a poisoned artifact stays where it was made."""
    project = make_project('[pipelines.build.stages.one]\nrun = "echo $RANDOM > out"\nartifacts = ["out"]\n')
    untrusted, _ = run(project, trust=Trust.UNTRUSTED)
    trusted, _ = run(project, trust=Trust.TRUSTED)
    assert not trusted.stages[0].cached and trusted.stages[0].key != untrusted.stages[0].key
    again, _ = run(project, trust=Trust.UNTRUSTED)
    assert again.stages[0].cached


@pytest.mark.parametrize(
    ("refs", "ref", "level"),
    [
        (None, "refs/heads/main", "untrusted"),
        (("main", "v*"), "refs/heads/main", "trusted"),
        (("main", "v*"), "refs/tags/v1.0", "trusted"),
        (("main",), "refs/heads/feature/main", "untrusted"),
        (("*",), "refs/heads/x", "trusted"),
        (("*",), "refs/pull/1/head", "untrusted"),
        (("*",), None, "untrusted"),
    ],
)
def test_level_comes_from_the_operator_and_the_ref_alone(refs, ref, level):
    assert trust_of(refs, ref) == level


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="untrusted stages need bubblewrap")
def test_fingerprints_of_an_untrusted_run_are_asked_in_its_sandbox(make_project, tmp_path):
    """A command that only identifies a tool reaches no more than the stage itself: no host, no network."""
    config = f"""
[pipelines.build.stages.look]
run = "true"
fingerprint = ["touch {tmp_path}/reached; echo $(ls; touch here; grep -c : /proc/net/dev) interface"]
"""
    project = make_project(config)
    summary, _ = run(project, trust=Trust.UNTRUSTED)
    asked = "".join(text for name, text in summary.stages[0].components.items() if name.startswith("fingerprint"))
    assert asked.endswith("1 interface"), asked
    assert not (tmp_path / "reached").exists()
    for _ in range(2):
        summary, _ = run(project, trust=Trust.TRUSTED)
    assert (tmp_path / "reached").exists()
    assert summary.stages[0].cached, "the folder was not empty the second time"
    assert not list((tmp_path / "cache").rglob("here"))
