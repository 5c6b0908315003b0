"""One file per command: options in, one call, exit. `COMMANDS` is what `cicdctl --help` lists, in its order."""

# Name on the command line → (module, first sentence of its help). The modules are imported when they are used.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "Write a .cicd.toml from what this repository is."),
    "run": ("run", "Run a pipeline here and now."),
    "plan": ("plan", "Show what would run, be cached or be skipped, and why."),
    "explain": ("explain", "Say why a stage would not be served from the cache."),
    "status": ("status", "Show the latest runs of each pipeline, and what runs now."),
    "history": ("history", "List runs, newest first."),
    "show": ("show", "Show one run with its stages."),
    "logs": ("logs", "Print the log of a stage."),
    "artifacts": ("artifacts", "List what a run left, or write it to a folder."),
    "rerun": ("rerun", "Run the same pipeline on the same commit again."),
    "trigger": ("trigger", "Queue a run of a commit."),
    "rollback": ("rollback", "Deploy again what an environment had before."),
    "pause": ("pause", "Start nothing any more that waits."),
    "resume": ("resume", "Let go on what was paused."),
    "drain": ("drain", "Start what waits, and wait until everything has ended."),
    "watch": ("watch", "Notice new commits, tags and schedules, and start their pipelines."),
    "serve": ("serve", "Watch, and answer over HTTP: live pages, REST, webhooks of forges."),
    "stop": ("stop", "End the orchestrator of this repository."),
    "hook": ("hook", "Start pipelines from git's hooks."),
    "approve": ("approve", "Let a run start that waits for an approval."),
    "cancel": ("cancel", "End a run that is going on."),
    "shell": ("shell", "Open a shell in a fresh copy of what a stage saw."),
    "fix": ("fix", "Repair a failed stage, as far as it can be proved."),
    "bisect": ("bisect", "Find the commit that broke a stage."),
    "workflow": ("workflow", "Run Python workflows that plugins provide."),
    "notify": ("notify", "Tell people and forges what became of runs."),
    "config": ("config", "Check and show the configuration."),
    "cache": ("cache", "Look at the cache, and make room."),
    "state": ("state", "Check the state, back it up, put it back."),
    "secrets": ("secrets", "Keep values that only the stages that name them see."),
    "token": ("token", "Make and revoke tokens for the server."),
    "plugins": ("plugins", "List, install, remove and start plugins."),
    "doctor": ("doctor", "Check this machine and this repository."),
}
# Those that `--server` sends elsewhere.
REMOTE = ("run", "trigger", "status", "history", "show", "logs", "rerun", "cancel", "approve", "resume", "pause")
HIDDEN: dict[str, tuple[str, str]] = {
    "_notify": ("sender", "Send the notices that wait."),
    "_runner": ("runner", "Carry out a run that is queued."),
}
