"""Tests of providers, the upstream client, engines and models on disk."""
