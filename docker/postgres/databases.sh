#!/bin/sh
# Run once by the postgres image, on an empty data folder: roles, databases and the login of each program.
# A password changed later in .env is changed in the database by hand, see docs/deploy.md.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv moderation POSTGRES_MODERATION_PASSWORD
\getenv airflow POSTGRES_AIRFLOW_PASSWORD
\getenv mlflow POSTGRES_MLFLOW_PASSWORD
\getenv worker POSTGRES_WORKER_PASSWORD
\getenv batch POSTGRES_BATCH_PASSWORD
\getenv retention POSTGRES_RETENTION_PASSWORD
\getenv grafana POSTGRES_GRAFANA_PASSWORD

CREATE ROLE moderation LOGIN PASSWORD :'moderation';
CREATE ROLE airflow LOGIN PASSWORD :'airflow';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow';

CREATE DATABASE moderation OWNER moderation;
CREATE DATABASE airflow OWNER airflow;
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE mlflow_accounts OWNER mlflow;
REVOKE ALL ON DATABASE moderation, airflow, mlflow, mlflow_accounts FROM PUBLIC;

-- Role moderation owns the tables, and `moderation migrate` grants these groups what they may do: docs/database.md. The
-- groups are made here, so that role moderation need not be able to make roles.
CREATE ROLE moderation_worker NOLOGIN;
CREATE ROLE moderation_batch NOLOGIN;
CREATE ROLE moderation_reader NOLOGIN;
CREATE ROLE moderation_console NOLOGIN;
CREATE ROLE moderation_retention NOLOGIN;

-- The logins of programs. `moderation grants` prints these statements.
CREATE ROLE worker LOGIN PASSWORD :'worker';
GRANT moderation_worker TO worker;
ALTER ROLE worker SET statement_timeout = '1min';
ALTER ROLE worker SET lock_timeout = '30s';
ALTER ROLE worker SET idle_in_transaction_session_timeout = '8s';

CREATE ROLE batch LOGIN PASSWORD :'batch';
GRANT moderation_batch TO batch;
GRANT pg_read_all_stats TO batch;
ALTER ROLE batch SET statement_timeout = '2h';
ALTER ROLE batch SET lock_timeout = '15s';
ALTER ROLE batch SET idle_in_transaction_session_timeout = '2h';

CREATE ROLE retention LOGIN PASSWORD :'retention';
GRANT moderation_retention TO retention;
GRANT pg_read_all_stats TO retention;
ALTER ROLE retention SET statement_timeout = '30min';
ALTER ROLE retention SET lock_timeout = '15s';
ALTER ROLE retention SET idle_in_transaction_session_timeout = '5min';

CREATE ROLE grafana LOGIN PASSWORD :'grafana';
GRANT moderation_reader TO grafana;
ALTER ROLE grafana SET statement_timeout = '1min';
ALTER ROLE grafana SET lock_timeout = '5s';
ALTER ROLE grafana SET idle_in_transaction_session_timeout = '30s';
SQL
