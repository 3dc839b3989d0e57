"""The core of comment-moderation: contracts, kernel, policy, training and adapters. No Airflow, no Faust."""
