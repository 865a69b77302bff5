"""Jan Server: a self-hosted LLM platform that runs in one process."""

__version__ = "0.1.0"
