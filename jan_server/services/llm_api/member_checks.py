"""Members of request bodies, checked by hand: the types that this server or any provider relies on.

Ranges and combinations are the provider's own; what is not named here travels on unseen. A check
takes a member's name and its value and refuses with `Invalid`, whose `param` is that name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jan_server.services.llm_api.refusals import Invalid

Check = Callable[[str, Any], None]


def check_members(body: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    """Check the members of `body` that are given and named in `checks`.

    Raises:
        Invalid: One is wrong; `param` names it.
    """
    for name, value in body.items():
        check = checks.get(name)
        if check is not None and value is not None:
            check(name, value)


def model_of(body: Mapping[str, Any]) -> str:
    """The model that a request asks for.

    Raises:
        Invalid: It names none.
    """
    model = body.get("model")
    if model is None or (isinstance(model, str) and not model.strip()):
        raise Invalid("model key is required", param="model", code="missing_required_parameter")
    check_text("model", model)
    return str(model)


def require(body: Mapping[str, Any], name: str) -> Any:
    """The member `name`.

    Raises:
        Invalid: It is missing, null or empty.
    """
    value = body.get(name)
    if value is None or value in ("", [], {}):
        raise Invalid(f"{name} is required", param=name, code="missing_required_parameter")
    return value


def wrong_type(name: str, expected: str) -> Invalid:
    """The refusal of a member that is not what it has to be."""
    return Invalid(f"{name} must be {expected}", param=name, code="invalid_type")


def check_text(name: str, value: Any) -> None:
    """The member is a text."""
    if not isinstance(value, str):
        raise wrong_type(name, "a string")


def check_boolean(name: str, value: Any) -> None:
    """The member is true or false."""
    if not isinstance(value, bool):
        raise wrong_type(name, "true or false")


def is_integer(value: Any) -> bool:
    """Whether a JSON value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_integer(name: str, value: Any) -> None:
    """The member is a whole number."""
    if not is_integer(value):
        raise wrong_type(name, "an integer")


def check_positive(name: str, value: Any) -> None:
    """The member is a whole number of at least 1."""
    if not is_integer(value) or value < 1:
        raise Invalid(f"{name} must be an integer of at least 1", param=name, code="invalid_value")


def check_number(name: str, value: Any) -> None:
    """The member is a number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong_type(name, "a number")


def check_object(name: str, value: Any) -> None:
    """The member is an object."""
    if not isinstance(value, dict):
        raise wrong_type(name, "an object")


def check_array(name: str, value: Any) -> None:
    """The member is an array."""
    if not isinstance(value, list):
        raise wrong_type(name, "an array")


def check_objects(name: str, value: Any) -> None:
    """The member is an array of objects."""
    check_array(name, value)
    for index, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise wrong_type(f"{name}[{index}]", "an object")


def check_text_or_texts(name: str, value: Any) -> None:
    """The member is a text or an array of texts."""
    if isinstance(value, str):
        return
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise wrong_type(name, "a string or an array of strings")


def check_text_or_object(name: str, value: Any) -> None:
    """The member is a text or an object."""
    if not isinstance(value, str | dict):
        raise wrong_type(name, "a string or an object")


def one_of(*allowed: str) -> Check:
    """A check that the member is one of these texts."""

    def check(name: str, value: Any) -> None:
        if value not in allowed:
            raise Invalid(f"{name} must be one of {', '.join(allowed)}", param=name, code="invalid_value")

    return check


def check_texts_or_tokens(name: str, value: Any) -> None:
    """The member is a text, an array of texts, an array of token ids, or an array of such arrays."""
    if isinstance(value, str):
        return
    if not isinstance(value, list) or not value:
        raise wrong_type(name, "a string, an array of strings, an array of tokens or an array of such arrays")
    kind = type(value[0])
    if kind not in (str, int, list):
        raise wrong_type(f"{name}[0]", "a string, an integer or an array of integers")
    for index, entry in enumerate(value):
        if type(entry) is not kind:
            raise wrong_type(f"{name}[{index}]", "of the same kind as the first entry")
        if kind is list and not (entry and all(map(is_integer, entry))):
            raise wrong_type(f"{name}[{index}]", "an array of integers that is not empty")
