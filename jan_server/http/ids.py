"""Public ids: a prefix, an underscore and random characters of `[0-9a-z]`.

Source: contract/llm-api.md, section 4.1.
"""

from __future__ import annotations

import re
import secrets
import string

ALPHABET = string.digits + string.ascii_lowercase

# Random bytes become characters of the alphabet, each equally often; those left over are dropped.
_EVEN = 256 - 256 % len(ALPHABET)
_TO_CHARACTER = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
_LEFT_OVER = bytes(range(_EVEN, 256))

_TAIL = re.compile(r"[0-9a-z]+\Z")


def public_id(prefix: str, length: int = 16) -> str:
    """A new id such as `conv_0a1b2c3d4e5f6g7h`; `length` counts the random characters."""
    tail = b""
    # Some more bytes than characters, so that one draw is nearly always enough.
    while len(tail) < length:
        tail += secrets.token_bytes(length + 4).translate(_TO_CHARACTER, _LEFT_OVER)
    return f"{prefix}_{tail[:length].decode()}"


def is_public_id(prefix: str, value: str) -> bool:
    """Whether `value` has the form of an id with this prefix; the tail may have any length."""
    head = f"{prefix}_"
    return value.startswith(head) and _TAIL.match(value, len(head)) is not None
