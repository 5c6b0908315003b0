"""A cicdctl plugin: the stage kind `python`, the matcher `shellcheck`, and a bell when a run ends red."""

from cicdctl_example.bell import cicdctl_run_finished
from cicdctl_example.python_stage import cicdctl_stages
from cicdctl_example.shellcheck import cicdctl_matchers

__all__ = ["cicdctl_matchers", "cicdctl_run_finished", "cicdctl_stages"]
