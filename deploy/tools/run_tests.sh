#!/bin/sh
# Runs pytest with the given arguments, its temporary files in memory where there is room. The tests make thousands of small
# databases that sync every commit; what they prove (a killed process loses nothing) does not depend on the medium.
set -eu
cd "$(dirname "$0")/../.."
MEMORY=/dev/shm
ROOM_KIB_MIN=4194304 # Twice what the whole suite has been seen to use.

if [ -w "$MEMORY" ] && [ "$(df -Pk "$MEMORY" | awk 'NR == 2 {print $4}')" -ge "$ROOM_KIB_MIN" ]; then
    TMPDIR=$(mktemp -d "$MEMORY/atelier-tests.XXXXXX")
    export TMPDIR
    chmod 755 "$TMPDIR" # Postgres runs as another user when the tests run as root.
    trap 'rm -rf "$TMPDIR"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
fi
.venv/bin/pytest "$@"
