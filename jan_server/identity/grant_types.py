"""The grants of the token endpoint, by the name that requests call them by."""

from __future__ import annotations

from jan_server.identity.clients import TOKEN_EXCHANGE
from jan_server.identity.grants import (
    client_credentials_grant,
    code_grant,
    password_grant,
    refresh_grant,
)
from jan_server.identity.token_exchange import exchange_grant

GRANTS = {
    "password": password_grant,
    "client_credentials": client_credentials_grant,
    "refresh_token": refresh_grant,
    "authorization_code": code_grant,
    TOKEN_EXCHANGE: exchange_grant,
}
"""The grants by their `grant_type`."""
