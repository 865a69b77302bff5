"""Test doubles: each stands in for something that lives outside this machine."""
