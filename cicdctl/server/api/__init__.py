"""REST: what the command line does and shows, as JSON, under the same words."""
