"""What accounts of MLflow and Airflow may do. The servers import these modules; nothing of the project does."""
