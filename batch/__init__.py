"""Batch layer: plain functions, runnable without Airflow."""
