#!/bin/sh
# Run once by the postgres image, on an empty data folder: a role and a database for each part, and Grafana's login.
# A password changed later in .env is changed in the database by hand, see docs/deploy.md.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv moderation POSTGRES_MODERATION_PASSWORD
\getenv airflow POSTGRES_AIRFLOW_PASSWORD
\getenv mlflow POSTGRES_MLFLOW_PASSWORD
\getenv grafana POSTGRES_GRAFANA_PASSWORD

-- The migrations grant it schema serving. Made here, so that role moderation need not be able to make roles.
CREATE ROLE moderation_reader NOLOGIN;
CREATE ROLE moderation LOGIN PASSWORD :'moderation';
CREATE ROLE airflow LOGIN PASSWORD :'airflow';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow';
CREATE ROLE grafana LOGIN PASSWORD :'grafana' IN ROLE moderation_reader;

CREATE DATABASE moderation OWNER moderation;
CREATE DATABASE airflow OWNER airflow;
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE mlflow_accounts OWNER mlflow;
REVOKE ALL ON DATABASE moderation, airflow, mlflow, mlflow_accounts FROM PUBLIC;
SQL
