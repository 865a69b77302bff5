"""Requests for pictures, checked by hand and split into what the provider gets and what is Jan's.

Source: contract/llm-api.md, sections 8.1 and 8.2; OpenAI API reference, "Create image" and "Create
image edit".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jan_server.http.multipart import MultipartReader, PartHead
from jan_server.services.llm_api.image_files import (
    MAXIMUM_BYTES,
    ImageFile,
    ImageSource,
    image_type,
    parse_image_source,
)
from jan_server.services.llm_api.member_checks import (
    Check,
    check_boolean,
    check_integer,
    check_members,
    check_number,
    check_positive,
    check_text,
    one_of,
)
from jan_server.services.llm_api.refusals import Invalid

GENERATION = "image"
EDIT = "image-edit"

_OWN_MEMBERS = ("provider_id", "conversation_id", "store")
_FIELD_BYTES = 2**20
_MOST_FIELDS = 100
_MOST_FILES = 20
_WHOLE_FORM_BYTES = 128 * 2**20
_TRUE = ("true", "1")
_FILE_FIELDS = ("image", "mask", "markup")

_CHECKS: Mapping[str, Check] = {
    "model": check_text,
    "n": check_positive,
    "size": check_text,
    "quality": check_text,
    "style": check_text,
    "response_format": one_of("url", "b64_json"),
    "user": check_text,
    "stream": check_boolean,
    "provider_id": check_text,
    "conversation_id": check_text,
    "store": check_boolean,
    "num_inference_steps": check_integer,
    "steps": check_integer,
    "seed": check_integer,
    "cfg_scale": check_number,
    "strength": check_number,
    "sampler": check_text,
    "scheduler": check_text,
    "negative_prompt": check_text,
}


@dataclass(slots=True)
class ImageRequest:
    """One checked request.

    Attributes:
        kind: `GENERATION` or `EDIT`, with which the codes of refusals begin.
        body: What the provider gets, Jan's members and the pictures removed.
        prompt: What is to be seen.
        images: The pictures to edit, by the name of their field.
        provider_id: The provider that is asked; empty for the usual one.
        conversation_id: The conversation in which prompt and result are kept; empty for none.
    """

    kind: str
    body: dict[str, Any]
    prompt: str
    images: list[tuple[str, ImageSource]] = field(default_factory=list)
    provider_id: str = ""
    conversation_id: str = ""

    @property
    def model(self) -> str:
        """The model that the client asked for; empty when it named none."""
        return self.body.get("model") or ""

    @property
    def stream(self) -> bool:
        """Whether the client asked for a stream."""
        return self.body.get("stream") is True

    @property
    def response_format(self) -> str | None:
        """How the client wants the pictures; None when it did not say."""
        return self.body.get("response_format")

    def code(self, rest: str) -> str:
        """A code of a refusal, for example `image-validation-001`."""
        return f"{self.kind}-{rest}"


def parse_generation(body: dict[str, Any]) -> ImageRequest:
    """Check the body of a request for new pictures; `body` itself becomes the provider's.

    Raises:
        Invalid: A member is missing or wrong; `param` names it.
    """
    return _parse(GENERATION, body)


def parse_edit(body: dict[str, Any]) -> ImageRequest:
    """Check the JSON body of a request for an edit; `body` itself becomes the provider's.

    Raises:
        Invalid: A member is missing or wrong; `param` names it.
    """
    images, mask = body.pop("image", None), body.pop("mask", None)
    request = _parse(EDIT, body)
    several = isinstance(images, list)
    given = images if several else [images] if images else []
    code = request.code("validation-000")
    for index, entry in enumerate(given):
        param = f"image[{index}]" if several else "image"
        source = parse_image_source(entry, param=param, code=code)
        request.images.append(("image[]" if several else "image", source))
    if not request.images:
        raise _no_image(request)
    if mask:
        request.images.append(("mask", parse_image_source(mask, param="mask", code=code)))
    return request


async def read_edit_form(reader: MultipartReader) -> ImageRequest:
    """Read and check a form that asks for an edit, as OpenAI's clients send it.

    Raises:
        Invalid: A part is missing or wrong; `param` names it.
        ApiError: 400 for a malformed form, 413 for one that is too large.
    """
    body: dict[str, Any] = {}
    images: list[tuple[str, ImageSource]] = []
    size = 0
    while (head := await reader.next_part()) is not None:
        if len(body) > _MOST_FIELDS or len(images) > _MOST_FILES:
            raise Invalid("the form has too many parts", code=f"{EDIT}-validation-000")
        if not head.is_file:
            _take_field(body, head.name, await reader.text(_FIELD_BYTES))
            continue
        content = await reader.content(min(MAXIMUM_BYTES, _WHOLE_FORM_BYTES - size))
        size += len(content)
        images.append((head.name, _file_source(head, content)))
    request = _parse(EDIT, body)
    request.images = images
    if not any(name.removesuffix("[]") == "image" for name, _ in images):
        raise _no_image(request)
    return request


def _take_field(body: dict[str, Any], name: str, text: str) -> None:
    """Put a field of a form into a body, with the type that JSON would have."""
    if name.endswith("[]"):
        body.setdefault(name, []).append(text)
        return
    value: Any = text
    check = _CHECKS.get(name)
    if check is check_boolean and text.lower() in ("true", "false", "1", "0"):
        value = text.lower() in _TRUE
    elif check in (check_integer, check_positive) and text.strip().lstrip("-").isdigit():
        value = int(text)
    elif check is check_number:
        try:
            value = float(text)
        except ValueError:
            value = text
    body[name] = value


def _file_source(head: PartHead, content: bytes) -> ImageSource:
    param = head.name.removesuffix("[]")
    kind = image_type(content) or (head.content_type if head.content_type.startswith("image/") else None)
    if param in _FILE_FIELDS and kind is None:
        raise Invalid(f"{param} is no picture", param=param, code=f"{EDIT}-validation-000")
    return ImageSource(
        param, file=ImageFile(content, kind or head.content_type, head.filename or f"{param}.png")
    )


def _parse(kind: str, body: dict[str, Any]) -> ImageRequest:
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise Invalid("prompt is required", param="prompt", code=f"{kind}-validation-001")
    try:
        check_members(body, _CHECKS)
    except Invalid as failure:
        raise Invalid(failure.message, param=failure.param, code=f"{kind}-validation-000") from failure
    own = {name: body.pop(name, None) for name in _OWN_MEMBERS}
    return ImageRequest(
        kind,
        body,
        prompt,
        provider_id=own["provider_id"] or "",
        # A tool call in a chat is logged by the chat already: only who asks for it twice gets it.
        conversation_id=(own["conversation_id"] or "") if own["store"] is True else "",
    )


def _no_image(request: ImageRequest) -> Invalid:
    return Invalid(
        "image is required: the picture to edit", param="image", code=request.code("validation-002")
    )
