"""A cicdctl plugin: the notifier `apprise`."""

from cicdctl_apprise.notifier import cicdctl_notifiers

__all__ = ["cicdctl_notifiers"]
