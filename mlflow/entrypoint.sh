#!/bin/sh
# Commands of the MLflow server's container:
#   server    serve, with accounts; the default
#   migrate   upgrade both databases to the installed version
#   accounts  create the accounts of batch layer and worker, or set their passwords again
# It runs anything else unchanged, e.g. `mlflow gc`. Variables: see mlflow/README.md.
set -eu

needs() {
    for name in "$@"; do
        eval "value=\${$name:-}"
        if [ -z "$value" ]; then
            echo "$name is not set; see mlflow/README.md" >&2
            exit 78
        fi
    done
}

# MLflow reads the address of the accounts' database from a file only, and % is special in it.
write_account_settings() {
    MLFLOW_AUTH_CONFIG_PATH="${TMPDIR:-/tmp}/accounts.ini"
    export MLFLOW_AUTH_CONFIG_PATH
    (
        umask 077
        cat >"$MLFLOW_AUTH_CONFIG_PATH" <<SETTINGS
[mlflow]
default_permission = READ
database_uri = $(printf %s "$REGISTRY_ACCOUNTS_URI" | sed 's/%/%%/g')
admin_username = admin
authorization_function = registry_access:authenticate
auth_cache_ttl_seconds = 60
SETTINGS
    )
}

case "${1:-server}" in
server)
    needs MLFLOW_BACKEND_STORE_URI MLFLOW_ARTIFACTS_DESTINATION MLFLOW_SERVER_ALLOWED_HOSTS \
        REGISTRY_ACCOUNTS_URI MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY
    write_account_settings
    exec python -P -m mlflow server --app-name basic-auth --workers "${MLFLOW_WORKERS:-2}"
    ;;
migrate)
    needs MLFLOW_BACKEND_STORE_URI REGISTRY_ACCOUNTS_URI
    # Both addresses contain passwords, and other processes see command lines: Python reads them from the environment.
    exec python -P - <<'PROGRAM'
import os

from mlflow.cli import cli
from mlflow.server.auth.db.cli import upgrade

cli(["db", "upgrade", os.environ["MLFLOW_BACKEND_STORE_URI"]], standalone_mode=False)
upgrade(["--url", os.environ["REGISTRY_ACCOUNTS_URI"]], standalone_mode=False)
PROGRAM
    ;;
accounts)
    needs MLFLOW_TRACKING_URI MLFLOW_AUTH_ADMIN_PASSWORD REGISTRY_BATCH_PASSWORD REGISTRY_WORKER_PASSWORD
    MLFLOW_TRACKING_USERNAME=admin MLFLOW_TRACKING_PASSWORD="$MLFLOW_AUTH_ADMIN_PASSWORD" exec python -P - <<'PROGRAM'
import os

from mlflow.exceptions import MlflowException
from mlflow.server import get_app_client

accounts = get_app_client("basic-auth", tracking_uri=os.environ["MLFLOW_TRACKING_URI"])
for name in ("batch", "worker"):
    password = os.environ[f"REGISTRY_{name.upper()}_PASSWORD"]
    try:
        accounts.create_user(name, password)
        print(f"account {name}: made")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        accounts.update_user_password(name, password)
        print(f"account {name}: has its password")
PROGRAM
    ;;
*)
    exec "$@"
    ;;
esac
