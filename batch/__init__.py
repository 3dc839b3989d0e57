"""The batch layer: plain functions that run with Airflow and without it."""
