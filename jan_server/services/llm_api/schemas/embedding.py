"""What travels on the route of embeddings, for the OpenAPI document: the route checks by hand."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from jan_server.services.llm_api.schemas.response_cache import CacheOptions


class EmbeddingRequest(BaseModel):
    """OpenAI's request; members that are not listed here reach the provider as they are."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(examples=["jan/wordllama-256"])
    input: str | list[str] | list[int] | list[list[int]] = Field(
        description="A text, several, or their tokens.",
        examples=[["A fox jumps over a dog.", "A quick brown animal leaps."]],
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1, description="How long the vectors are to be.")
    user: str | None = None
    cache: CacheOptions | None = Field(None, description="Gives the answer of the same request again.")


class Embedding(BaseModel):
    """One vector."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str = Field(
        description="Numbers, or in base64 little-endian numbers of 32 bits."
    )


class EmbeddingUsage(BaseModel):
    """The tokens of the inputs."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """A vector for each input, in their order."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "object": "list",
                "data": [{"object": "embedding", "index": 0, "embedding": [0.0123, -0.0456]}],
                "model": "jan/wordllama-256",
                "usage": {"prompt_tokens": 7, "total_tokens": 7},
            }
        }
    )

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
