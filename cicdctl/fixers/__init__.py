"""The fixers that come with cicdctl; each file one, registered through the hook like anybody's."""
