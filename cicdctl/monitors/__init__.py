"""Ways to notice changes; each file one plugin, registered through the same hook as anybody's."""
