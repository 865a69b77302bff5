"""Public ids: a prefix, an underscore and random characters of `[0-9a-z]`.

Source: contract/llm-api.md, section 4.1.
"""

from __future__ import annotations

import re
import secrets
import string

ALPHABET = string.digits + string.ascii_lowercase

_TAIL = re.compile(r"[0-9a-z]+\Z")


def public_id(prefix: str, length: int = 16) -> str:
    """A new id such as `conv_0a1b2c3d4e5f6g7h`; `length` counts the random characters."""
    return f"{prefix}_" + "".join(secrets.choice(ALPHABET) for _ in range(length))


def is_public_id(prefix: str, value: str) -> bool:
    """Whether `value` has the form of an id with this prefix; the tail may have any length."""
    head = f"{prefix}_"
    return value.startswith(head) and _TAIL.match(value, len(head)) is not None
