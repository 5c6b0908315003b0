"""Failure to diagnosis, candidate, guards, verification, branch and proof. Executes no stage and prints nothing."""
