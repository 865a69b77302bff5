"""A declarative Kong file, executed."""
