"""PostgreSQL: the tables, their migrations, and the ledger's transactions."""
