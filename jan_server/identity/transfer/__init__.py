"""Moving users between the embedded issuer and Keycloak, with their ids and their hashed passwords."""
