"""The `jan` command: one module per command group, no business logic."""
