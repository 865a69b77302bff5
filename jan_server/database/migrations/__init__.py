"""Alembic's environment and the history of each schema."""
