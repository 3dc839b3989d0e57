#!/bin/sh
# The first start creates the cluster and runs the scripts of /docker-entrypoint-initdb.d against a temporary server,
# which listens on a socket only. Then the command runs.
set -eu
if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA"
    printf %s "$POSTGRES_PASSWORD" >/tmp/password
    # shellcheck disable=SC2086 # several options
    initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile=/tmp/password --auth-local=trust \
        ${POSTGRES_INITDB_ARGS:-}
    rm /tmp/password
    printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    pg_ctl --pgdata="$PGDATA" --wait --options="-c listen_addresses='' -k $PGHOST" start
    for script in /docker-entrypoint-initdb.d/*.sh; do
        sh "$script"
    done
    pg_ctl --pgdata="$PGDATA" --wait --mode=fast stop
fi
case "${1:-}" in
postgres) exec "$@" -clisten_addresses='*' "-cunix_socket_directories=$PGHOST" ;;
*) exec "$@" ;;
esac
