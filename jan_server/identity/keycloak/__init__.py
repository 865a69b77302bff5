"""A real Keycloak in place of the embedded issuer: its distribution, and the realm in it."""
