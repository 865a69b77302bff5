"""The routes of the LLM API: each module parses, calls one concept and answers."""
