"""What a request says about the cache of answers, for the OpenAPI document: routes check by hand."""

from __future__ import annotations

from pydantic import BaseModel, Field

from jan_server.services.llm_api.response_cache import LONGEST_SECONDS


class CacheOptions(BaseModel):
    """For how long an answer may be given again."""

    ttl: int = Field(ge=1, le=LONGEST_SECONDS, description="Seconds.")
    shared: bool = Field(False, description="Whether other users who say so too may get it.")
