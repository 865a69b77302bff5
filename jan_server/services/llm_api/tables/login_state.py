"""Browser log-ins under way: what `/auth/login` leaves for `/auth/callback`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime, Text
from sqlmodel import Field

from jan_server.services.llm_api.tables import LlmApiTable


class LoginState(LlmApiTable, table=True):
    """One log-in under way; the row goes when its callback comes, or when it expires.

    Attributes:
        state_hash: SHA-256 of the state that travels through the browser.
        verifier: The PKCE verifier (RFC 7636), which never leaves the server before the exchange.
        redirect_url: Where the browser goes in the end.
        expires_at: After this moment the callback is refused.
    """

    __tablename__ = "login_states"

    state_hash: str = Field(primary_key=True, max_length=64)
    verifier: str = Field(max_length=128)
    redirect_url: str = Field(sa_type=Text)
    expires_at: datetime = Field(sa_type=DateTime(timezone=True), index=True)
