"""What identity answers: the protocol's endpoints, the log-in pages, and the admin API."""
