"""Reconciliation in PostgreSQL: the snapshot it reads and the runs it stores."""
