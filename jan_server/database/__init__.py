"""PostgreSQL: engine, sessions and migrations."""
