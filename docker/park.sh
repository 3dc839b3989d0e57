#!/bin/sh
# park COMMAND…: run a command; when it ends with 78, stay without it until told to stop.
#
# 78 means that only a person can mend what the log names (stream/exit_codes.py). Docker knows no exit code after which it
# does not restart, so the container stays: unhealthy, which is seen, and without a restart every few seconds.
set -u
refused=78

# At every moment one of the two traps stands, so that no stop is lost: the first tells the command, the second ends
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
echo "park: it ended with $refused: see above, mend it, then restart the container" >&2
while :; do
    sleep 3600 &
    child=$!
    wait "$child"
done
