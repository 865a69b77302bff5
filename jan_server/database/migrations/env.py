"""Alembic's environment: runs one schema's history on the connection it is given."""

from alembic import context

from jan_server.database.migrate import VERSION_TABLE

connection = context.config.attributes["connection"]
schema = context.config.attributes["schema"]

context.configure(
    connection=connection,
    version_table=VERSION_TABLE,
    version_table_schema=schema,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
