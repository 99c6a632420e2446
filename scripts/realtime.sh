#!/usr/bin/env bash
#
# Runs a command, and says first whether the real-time class is permitted here, which one test needs.
#
#   scripts/realtime.sh cargo test
#
# Where it is not, the command runs with ANTIPHON_NO_REALTIME=1, and what is not shown is printed. Who sets that
# variable is not asked: 1 does without, 0 insists.

set -euo pipefail

# One above the sessions' own priority: the watchdog's.
priority=11

is_permitted() { chrt -f "$priority" true >/dev/null 2>&1; }

# Other systems have no such class and no such test; who has no chrt is told by the test itself.
if [ -z "${ANTIPHON_NO_REALTIME:-}" ] && command -v chrt >/dev/null 2>&1 && ! is_permitted; then
    export ANTIPHON_NO_REALTIME=1
    printf 'realtime: %s\n' \
        "the real-time class is not permitted here, so tests/watchdog.rs does not show that a session that spins" \
        "loses it. To see it: run as root, with CAP_SYS_NICE, or after \`ulimit -r $priority\`, for which" \
        "/etc/security/limits.conf needs a line:  $(id -un) - rtprio $priority" >&2
fi

exec "$@"
