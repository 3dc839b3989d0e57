"""What a reconciliation reads from PostgreSQL, and the rows it stores there."""
