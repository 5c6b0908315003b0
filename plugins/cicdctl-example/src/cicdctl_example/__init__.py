"""A cicdctl plugin: the stage kind `python`, and a bell when a run ends red."""

from cicdctl_example.bell import cicdctl_run_finished
from cicdctl_example.python_stage import cicdctl_stages

__all__ = ["cicdctl_run_finished", "cicdctl_stages"]
