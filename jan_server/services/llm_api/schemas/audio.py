"""What travels on the routes of sound, for the OpenAPI document: the routes check by hand."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

BINARY: dict[str, Any] = {"type": "string", "format": "binary"}


class TranslationForm(BaseModel):
    """OpenAI's form; parts that are not listed here reach the provider as they are."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(description="Best placed in front of `file`.", examples=["openai/whisper-1"])
    file: bytes = Field(description="The recording.", json_schema_extra=BINARY)
    prompt: str | None = Field(None, description="Words that help with what is said.")
    response_format: str = Field(
        "json", description="json, text, srt, verbose_json or vtt, as the model has it."
    )
    temperature: float | None = None


class TranscriptionForm(TranslationForm):
    """OpenAI's form; parts that are not listed here reach the provider as they are."""

    language: str | None = Field(None, examples=["en"])
    stream: bool = Field(False, description="Whether the text comes as events while it is found.")


class Transcription(BaseModel):
    """The text of a recording."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"example": {"text": "The fox jumps over the dog."}}
    )

    text: str
    usage: dict[str, Any] | None = None


class SpeechRequest(BaseModel):
    """OpenAI's request; members that are not listed here reach the provider as they are."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(examples=["openai/gpt-4o-mini-tts"])
    input: str = Field(min_length=1, examples=["The fox jumps over the dog."])
    voice: str | dict[str, Any] | None = Field(None, examples=["alloy"])
    response_format: str = Field("mp3", description="mp3, opus, aac, flac, wav or pcm, as the model has it.")
    instructions: str | None = None
    speed: float | None = None
    stream_format: Literal["sse", "audio"] | None = None
