"""PostgreSQL: tables, migrations, and transactions of the ledger."""
