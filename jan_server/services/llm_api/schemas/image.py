"""What travels on the routes of pictures, for the OpenAPI document: the routes check by hand."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from jan_server.services.llm_api.schemas.audio import BINARY


class _ImageRequest(BaseModel):
    """Members of both requests; those that are not listed reach the provider as they are."""

    model_config = ConfigDict(extra="allow")

    prompt: str = Field(min_length=1, examples=["A fox in the snow"])
    model: str | None = Field(None, description="By default `IMAGE_DEFAULT_MODEL`.", examples=["z-image"])
    n: int = Field(1, ge=1, description="Pictures; more than `IMAGE_MAX_N` are cut to it.")
    stream: bool = False
    user: str | None = None
    cfg_scale: float | None = None
    provider_id: str | None = Field(
        None, description="A provider of pictures.", examples=["prov_0a1b2c3d4e5f6g7h"]
    )
    conversation_id: str | None = Field(
        None, description="With `store: true`: where prompt and result are kept."
    )
    store: bool = False


class ImageGenerationRequest(_ImageRequest):
    """OpenAI's request with Jan's members."""

    size: str | None = Field(None, examples=["1024x1024"])
    quality: str | None = None
    style: str | None = None
    response_format: Literal["url", "b64_json"] | None = None
    num_inference_steps: int | None = None


class ImageReference(BaseModel):
    """Where a picture is; exactly one member."""

    url: str | None = Field(None, description="An address on the public internet, or a `data:` URL.")
    b64_json: str | None = None
    id: str | None = Field(None, description="A medium of this platform.", examples=["jan_01hqr8v9k2x3f4g5h"])


class ImageEditRequest(_ImageRequest):
    """The request in JSON. OpenAI's form (`multipart/form-data`) is understood as well."""

    image: ImageReference | list[ImageReference] | str
    mask: ImageReference | str | None = None
    size: str = "original"
    response_format: Literal["url", "b64_json"] | None = None
    strength: float | None = None
    steps: int | None = None
    seed: int | None = None
    sampler: str | None = None
    scheduler: str | None = None
    negative_prompt: str | None = None


class ImageEditForm(_ImageRequest):
    """OpenAI's form; `image` may come several times, as `image[]`."""

    image: bytes = Field(json_schema_extra=BINARY)
    mask: bytes | None = Field(None, json_schema_extra=BINARY)
    size: str = "original"
    response_format: Literal["url", "b64_json"] | None = None


class ImageObject(BaseModel):
    """One picture."""

    model_config = ConfigDict(extra="allow")

    url: str | None = Field(None, description="Readable without a credential, or a `data:` URL.")
    b64_json: str | None = None
    id: str | None = Field(None, description="Its medium, where it was stored.")
    revised_prompt: str | None = None


class ImageResult(BaseModel):
    """The pictures."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "created": 1760000000,
                "data": [
                    {"id": "jan_01hqr8v9k2x3f4g5h", "url": "http://localhost:8000/api/media/jan_01hqr8"}
                ],
                "usage": {
                    "total_tokens": 1004,
                    "input_tokens": 4,
                    "output_tokens": 1000,
                    "input_tokens_details": {"text_tokens": 4, "image_tokens": 0},
                },
            }
        },
    )

    created: int
    data: list[ImageObject]
    usage: dict[str, Any]
