"""Links that prove an e-mail address, as long as nobody followed them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime, Index, func
from sqlmodel import Field

from jan_server.services.llm_api.tables import LlmApiTable, now


class EmailProof(LlmApiTable, table=True):
    """One link that was sent; the row goes when the link is used, or when it expires.

    Attributes:
        token_hash: SHA-256 of the token in the link, which the database never sees.
        issuer: The realm of the account.
        subject: The account's id there.
        email: The address that the link was sent to.
        expires_at: After this moment the link is refused.
    """

    __tablename__ = "email_proofs"
    __table_args__ = (Index("ix_email_proofs_subject", "issuer", "subject"),)

    token_hash: str = Field(primary_key=True, max_length=64)
    issuer: str = Field(max_length=255)
    subject: str = Field(max_length=255)
    email: str = Field(max_length=320)
    created_at: datetime = Field(
        default_factory=now,
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": func.now(), "nullable": False},
    )
    expires_at: datetime = Field(sa_type=DateTime(timezone=True), index=True)
