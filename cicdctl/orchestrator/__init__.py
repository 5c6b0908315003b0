"""The loop around runs: triggers, queue, workflows. Starts runners, and executes no stage itself."""
