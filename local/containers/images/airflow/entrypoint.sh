#!/bin/sh
# Run `bash` and `python` as they are, and every other word as a command of airflow. Group 0 may write what it makes.
set -eu
umask 0002
case "${1:-}" in
bash | python) exec "$@" ;;
*) exec airflow "$@" ;;
esac
