#!/bin/sh
# park COMMAND…: run a command; when it ends with 78, keep the container until it is stopped.
#
# 78 means that an operator must correct what the log names (stream/exit_codes.py). Docker restarts after every exit code.
# Therefore the container stays: unhealthy, which monitoring shows, and without a restart every few seconds.
set -u
refused=78
# The health check reads the reason here.
marker=${TMPDIR:-/tmp}/parked
rm -f "$marker"

# One of the two traps is set at any moment, so that no stop is lost: the first tells the command, the second ends
# the wait.
child=
stopping=
trap 'stopping=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM INT
"$@" &
child=$!
[ -z "$stopping" ] || kill -TERM "$child" 2>/dev/null
code=0
wait "$child" || code=$?
# A signal ends the wait before the command has ended.
while kill -0 "$child" 2>/dev/null; do
    code=0
    wait "$child" || code=$?
done
trap 'kill "$child" 2>/dev/null; exit "$code"' TERM INT
if [ "$code" -ne "$refused" ] || [ -n "$stopping" ]; then
    exit "$code"
fi
echo "the worker ended with $refused: correct the cause that its log names, then restart the container" >"$marker"
echo "park: the command ended with $refused: correct the cause above, then restart the container" >&2
while :; do
    sleep 3600 &
    child=$!
    wait "$child"
done
