"""What travels between the LLM API and its callers."""
