"""Runs the tests of identity, of the services' log-in and of the whole platform against a real Keycloak."""
