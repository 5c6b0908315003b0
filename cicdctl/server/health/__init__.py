"""What machines ask: whether we live, whether we can work, how much we do."""
