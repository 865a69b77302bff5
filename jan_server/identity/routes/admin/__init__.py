"""The admin API: Keycloak's own paths and shapes, for what the platform and its tools use."""
