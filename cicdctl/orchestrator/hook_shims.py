"""The shell scripts that git runs. `sh` starts in a millisecond; Python comes later, when nobody waits for it."""

from __future__ import annotations

import shlex
from pathlib import Path

from cicdctl.model import Value

MARK = "# installed by cicdctl"
PREVIOUS = ".before-cicdctl"


class Shim(Value, frozen=True, kw_only=True):
    """What a script has to know: where it works, and who works there. All paths are absolute."""

    hook: str
    git_dir: Path
    folder: Path
    python: str

    def text(self) -> str:
        """Return the script."""
        body = {"post-receive": _POST_RECEIVE, "pre-receive": _PRE_RECEIVE}.get(self.hook, _LOCAL)
        names = {"git_dir": self.git_dir, "folder": self.folder, "python": self.python, "hook": self.hook}
        head = "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in names.items())
        return (
            f"#!/bin/sh\n{MARK}; `cicdctl hook uninstall {self.hook}` removes it\n{head}previous=$0{PREVIOUS}\n{body}"
        )


# After the push: nothing here may fail it, hold it or print much. No stage runs in this process.
_POST_RECEIVE = r"""
if test "${1-}" = --later; then
    kept=$(cat)
    # git's own variables would make another repository of every folder; its helpers are not the stages' business.
    # A push to a folder has them twice, from the git of either side.
    helpers=${GIT_EXEC_PATH:-/nonexistent}:
    while test "$PATH" != "${PATH#"$helpers"}"; do PATH=${PATH#"$helpers"}; done
    for name in $(env | sed -n 's/^\(GIT_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$name"; done
    cd "$git_dir" || exit
    # Nobody else keeps the log of hooks short.
    if test "$(wc -c <cicdctl/hook.log)" -gt 1000000; then mv cicdctl/hook.log cicdctl/hook.log.1; fi
    printf '%s\n' "$kept" | sed -n 's/^ref [0-9a-f]* \([0-9a-f]*[1-9a-f][0-9a-f]*\) .*/\1/p' | sort -u | head -n 20 |
        sed 's,.*,update refs/cicd/keep/& &,' | git --git-dir="$git_dir" update-ref --stdin
    exec "$python" -P -m cicdctl -C "$folder" hook drain </dev/null
fi

lines=$(cat)
feed_previous() {
    if test -x "$previous"; then printf '%s\n' "$lines" | "$previous" "$@"; fi
}
# A folder of hooks may serve other repositories, too.
cd -P . 2>/dev/null
case $PWD in "$git_dir" | "$git_dir"/worktrees/*) ;; *) feed_previous "$@"; exit 0 ;; esac

count=0
kept=
skipped=
while IFS=' ' read -r old new ref; do
    case $ref in refs/heads/* | refs/tags/*) ;; *) continue ;; esac
    case $new in *[!0]*) count=$((count + 1)) ;; esac
    kept="${kept}ref $old $new $ref
"
done <<LINES
$lines
LINES

warnings=0
wait=
at=0
while test "$at" -lt "${GIT_PUSH_OPTION_COUNT:-0}"; do
    eval "option=\$GIT_PUSH_OPTION_$at"
    at=$((at + 1))
    case $option in
    ci.wait) wait=yes ;;
    ci.nowait) wait= ;;
    ci.skip | skip-ci | ci.no-cache | ci.no-fix | ci.pipeline=?* | ci.variable=?*=* | ci.input=?*=*) ;;
    ci.*)
        warnings=$((warnings + 1))
        test "$warnings" -gt 2 || printf 'warning: cicdctl knows no push option %.60s\n' "$option"
        ;;
    esac
    kept="${kept}option $option
"
done

if test -n "$kept"; then
    spool=$git_dir/cicdctl/spool
    umask 077
    test -d "$spool" || mkdir -p "$spool" 2>/dev/null
    name=$(date +%s).$$
    # Durable before it is acknowledged: flushed, then under its name, then the name flushed.
    aside=$spool/.$name
    if { printf '%s' "$kept" >"$aside" && sync "$aside" && mv "$aside" "$spool/$name"; } 2>/dev/null; then
        sync "$spool" 2>/dev/null
        if test "$count" -gt 0; then
            test "$count" -eq 1 && refs="1 ref" || refs="$count refs"
            printf 'cicdctl: %s received\n' "$refs"
            test -n "$wait" || printf 'hint: follow with: cicdctl status\n'
        fi
    else
        rm -f "$aside" 2>/dev/null
        printf 'warning: cicdctl cannot write to %s: no pipeline is started\n' "$spool"
        wait= kept=
    fi
    test -x "$python" || printf 'warning: cicdctl: %s is gone; cicdctl hook install writes the hook anew\n' "$python"
fi

# A child that kept our output open would hold the push.
if test -n "$kept" && test -x "$python"; then
    detach=$(command -v setsid)
    printf '%s' "$kept" | (trap '' HUP; $detach "$0" --later) >>"$git_dir/cicdctl/hook.log" 2>&1 &
fi

feed_previous "$@"

if test -n "$wait" && test "$count" -gt 0 && test -x "$python"; then
    printf '%s\n' "$lines" |
        "$python" -P -m cicdctl -C "$folder" hook follow "$name" 2>>"$git_dir/cicdctl/hook.log"
fi
exit 0
"""

# Before the push is accepted: it waits for us, on purpose, and what we cannot judge does not get in.
_PRE_RECEIVE = r"""
lines=$(cat)
if test -x "$previous"; then
    printf '%s\n' "$lines" | "$previous" "$@" || exit
fi
cd -P . 2>/dev/null
case $PWD in "$git_dir" | "$git_dir"/worktrees/*) ;; *) exit 0 ;; esac
if ! test -x "$python"; then
    printf 'error: cicdctl: %s is gone; cicdctl hook install pre-receive writes the hook anew\n' "$python"
    exit 1
fi
quarantine=${GIT_QUARANTINE_PATH-}
again=
at=0
while test "$at" -lt "${GIT_PUSH_OPTION_COUNT:-0}"; do
    eval "option=\$GIT_PUSH_OPTION_$at"
    at=$((at + 1))
    test "$option" != ci.no-cache || again=--again
done
helpers=${GIT_EXEC_PATH:-/nonexistent}:
while test "$PATH" != "${PATH#"$helpers"}"; do PATH=${PATH#"$helpers"}; done
for name in $(env | sed -n 's/^\(GIT_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$name"; done
printf '%s\n' "$lines" |
    "$python" -P -m cicdctl -C "$folder" hook gate $again -- "$quarantine" 2>>"$git_dir/cicdctl/hook.log"
status=$?
case $status in 0 | 1) ;; *)
    printf 'error: cicdctl cannot judge this push (status %s): hook.log in its state folder says why\n' "$status"
esac
test "$status" -eq 0
"""

_LOCAL = r"""
lines=
if test "$hook" = pre-push; then lines=$(cat); fi
if test -x "$previous"; then
    printf '%s\n' "$lines" | "$previous" "$@" || exit
fi
common=$(cd -P "$(git rev-parse --git-common-dir)" 2>/dev/null && pwd)
test "$common" = "$git_dir" || exit 0
if ! test -x "$python"; then
    printf 'warning: cicdctl: %s is gone; cicdctl hook install writes the hook anew\n' "$python" >&2
    exit 0
fi
here=$(pwd)
# Of git's own variables only the index is of use: a commit may come from another one.
for name in $(env | sed -n 's/^\(GIT_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$name"; done
printf '%s\n' "$lines" | "$python" -P -m cicdctl -C "$here" hook check "$hook"
"""
