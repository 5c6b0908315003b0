"""Telling people and forges what became of runs: which event, who wants it, how it gets there."""
