"""What the platform costs over a bare proxy, measured in one run."""
