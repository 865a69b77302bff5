"""What travels on the route of reranking, for the OpenAPI document: the route checks by hand."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class RerankRequest(BaseModel):
    """Jina's and Cohere's request; members that are not listed here reach the provider as they are."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(examples=["baai/bge-reranker-v2-m3"])
    query: str | dict[str, Any] = Field(examples=["What do foxes eat?"])
    documents: list[str | dict[str, Any]] = Field(
        min_length=1, examples=[["Foxes eat mice and berries.", "The train leaves at nine."]]
    )
    top_n: int | None = Field(None, ge=1, description="How many of the best come back; all when left out.")
    return_documents: bool | None = None


class RankedDocument(BaseModel):
    """One document and what it says about the query."""

    model_config = ConfigDict(extra="allow")

    index: int = Field(description="Its place among the documents of the request.")
    relevance_score: float
    document: str | dict[str, Any] | None = None


class Ranking(BaseModel):
    """The provider's answer, its own bytes; the most relevant document stands first."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "model": "bge-reranker-v2-m3",
                "results": [{"index": 0, "relevance_score": 0.98}, {"index": 1, "relevance_score": 0.02}],
                "usage": {"total_tokens": 23},
            }
        },
    )

    results: list[RankedDocument]
    model: str | None = None
    usage: dict[str, Any] | None = None
