"""The embedded OpenID issuer and its Keycloak-compatible admin API."""
