"""The routes of the service: each module one noun."""
