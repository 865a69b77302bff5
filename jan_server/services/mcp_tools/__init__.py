"""MCP Tools: one Model Context Protocol endpoint with search, scraping, files, code, memory and images."""
