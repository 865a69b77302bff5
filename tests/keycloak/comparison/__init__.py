"""The embedded issuer beside a real Keycloak: the same requests, and what differs in the answers."""
