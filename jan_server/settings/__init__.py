"""Settings: one typed tree, its sources in order of precedence, and where each value came from."""
