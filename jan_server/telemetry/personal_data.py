"""Personal data in text that is logged: found by its form, and replaced.

E-mail addresses, phone numbers, card numbers, IBANs and US social security numbers are found.
What is named by a hash can still be followed through a log; the hash is made with a salt of the
installation. Addresses of machines stay, since nobody could run a server without them. Source:
contract/observability.md, section 10.
"""

from __future__ import annotations

import hashlib
import re
from typing import Literal

PiiLevel = Literal["none", "hashed", "full"]

REDACTED = "[REDACTED]"
SSN = "[SSN]"
CARD = "[CARD]"

_HASH_LENGTH = 8
_CARD_LENGTHS = range(14, 20)

_FOUND = re.compile(
    r"""(?P<email>\b[\w.+-]{1,64}@(?:[\w-]+\.)+[A-Za-z]{2,24}\b)
      | (?P<iban>\b[A-Z]{2}[0-9]{2}(?:\x20?[A-Z0-9]{4}){2,7}(?:\x20?[A-Z0-9]{1,3})?\b)
      | (?P<ssn>(?<![\w-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![\w-]))
      | (?P<card>(?<![\w.-])[2-6](?:[\x20-]?[0-9]){13,18}(?![\w-]))
      | (?P<phone>(?<![\w+])\+[1-9](?:[\x20().-]{0,2}[0-9]){7,14}(?![\w])
                | (?<![\w.-])(?:\([0-9]{3}\)\x20?|[0-9]{3}[\x20.-])[0-9]{3}[\x20.-][0-9]{4}(?![\w-]))
    """,
    re.VERBOSE,
)
# Most lines hold none of it, and are told apart without the long search.
_DIGITS = re.compile(r"[0-9](?:[^0-9]{0,6}[0-9]){6}")


class PersonalData:
    """Replaces personal data.

    Args:
        level: `hashed` names what was found by a hash, `none` says only that something was there, and
            `full` leaves it.
        salt: Goes into every hash; a secret of the installation.
    """

    def __init__(self, level: PiiLevel = "hashed", salt: str = "") -> None:
        self._level = level
        self._salt = salt

    def masked(self, text: str) -> str:
        """`text` without personal data."""
        if self._level == "full":
            return text
        if "@" not in text and _DIGITS.search(text) is None:
            return text
        return _FOUND.sub(self._replacement, text)

    def _replacement(self, match: re.Match[str]) -> str:
        kind, value = match.lastgroup or "", match[0]
        if (kind == "card" and not is_card(value)) or (kind == "iban" and not is_iban(value)):
            return value
        if self._level == "none":
            return REDACTED
        if kind in ("card", "ssn"):
            return CARD if kind == "card" else SSN
        return f"{kind.upper()}_{hashlib.sha256((value + self._salt).encode()).hexdigest()[:_HASH_LENGTH]}"


def is_card(text: str) -> bool:
    """Whether the digits of `text` are a card's number: by their count and Luhn's check digit."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return len(digits) in _CARD_LENGTHS and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether `text` is an IBAN: by its check digits (ISO 13616)."""
    letters = text.replace(" ", "")
    moved = letters[4:] + letters[:4]
    return 15 <= len(letters) <= 34 and int("".join(str(int(each, 36)) for each in moved)) % 97 == 1
