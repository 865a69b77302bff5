"""Attributes of users, groups and roles: any name, with a list of texts."""

from __future__ import annotations

from typing import Any

from jan_server.identity.errors import bad_request

MAX_NAME = 255
MAX_TEXT = 65_536


def read_attributes(value: Any) -> dict[str, list[str]]:
    """Read attributes from a body; a single text counts as a list of one, an empty list as nothing.

    Raises:
        IdentityError: 400 that names the attribute at fault.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_request("attributes must be an object of lists of texts", field="attributes")
    found: dict[str, list[str]] = {}
    for name, texts in value.items():
        listed = [texts] if isinstance(texts, str) else texts
        if not name or len(name) > MAX_NAME or not isinstance(listed, list):
            raise bad_request(f"attribute {name[:64]!r} must be a list of texts", field=name[:64])
        kept = [text for text in listed if text is not None]
        if any(not isinstance(text, str) or len(text) > MAX_TEXT or "\x00" in text for text in kept):
            raise bad_request(f"attribute {name[:64]!r} must be a list of texts", field=name[:64])
        if kept:
            found[name] = kept
    return found
