"""Providers, endpoint selection, the streaming client and the engines."""
