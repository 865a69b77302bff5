"""Documents that are searched, and the chunks that they are cut into."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from sqlmodel import Field

from jan_server.services.mcp_tools.tables import SCHEMA, McpToolsTable


class DocumentRow(McpToolsTable, table=True):
    """One document.

    Attributes:
        owner: The subject of the user whose it is; empty for those of the vector store's own clients.
        document_id: The name that its owner gave it.
        shared: Whether everybody finds it.
        embedding_model: The model that all its chunks have vectors of; None while they have not.
        revision: Changes whenever the document is replaced.
    """

    __tablename__ = "documents"
    __table_args__ = (
        UniqueConstraint("owner", "document_id"),
        Index("ix_documents_shared", "shared", postgresql_where=text("shared")),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    owner: str = Field(max_length=255)
    document_id: str = Field(max_length=512)
    shared: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    details: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column("metadata", JSONB, nullable=False, server_default="{}")
    )
    tags: list[str] = Field(
        default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default="{}")
    )
    chunk_count: int
    token_count: int
    embedding_model: str | None = Field(default=None, max_length=255)
    revision: str = Field(max_length=32)
    indexed_at: datetime = Field(
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": func.now(), "nullable": False},
    )


class ChunkRow(McpToolsTable, table=True):
    """A piece of a document, the unit that is found.

    Attributes:
        document: The row of its document.
        position: Its place in the document, from 0.
        words: What full text search looks at.
        embedding: Its vector, of length 1; None while it has none.
        embedding_model: The model that computed the vector.
    """

    __tablename__ = "document_chunks"
    __table_args__ = (
        UniqueConstraint("document", "position"),
        Index("ix_document_chunks_words", "words", postgresql_using="gin"),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    document: int = Field(
        sa_column=Column(BigInteger, ForeignKey(f"{SCHEMA}.documents.id", ondelete="CASCADE"), nullable=False)
    )
    position: int
    text: str = Field(sa_type=Text)
    words: str = Field(sa_column=Column(TSVECTOR, nullable=False))
    embedding: list[float] | None = Field(default=None, sa_column=Column(ARRAY(REAL)))
    embedding_model: str | None = Field(default=None, max_length=255)


DOCUMENTS: Table = DocumentRow.__table__  # type: ignore[attr-defined]
CHUNKS: Table = ChunkRow.__table__  # type: ignore[attr-defined]
"""The same as tables, for statements."""
