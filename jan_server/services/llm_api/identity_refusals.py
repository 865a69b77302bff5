"""What the identity server refuses an administrator, told as this service's own refusals.

Its "not found" is 404, its conflict 409, a right that is lacking 403 with its words, and a value
that it does not take 400 with the field's name; anything else stays a failure behind this service
(contract/llm-api.md, section 17).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from jan_server.services.llm_api.identity_server import IdentityForbidden, IdentityRefused
from jan_server.services.llm_api.refusals import Conflict, Forbidden, Invalid, Missing, Refusal

_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@contextmanager
def told_as_refusals(*, missing: str = "", invalid: str = "") -> Iterator[None]:
    """Turn what the identity server refuses within the block into refusals of this service.

    Everything else that it refuses stays an `IdentityRefused`.

    Args:
        missing: The field that names what is not found.
        invalid: The field whose value is not taken, when the identity server names none.
    """
    try:
        yield
    except IdentityForbidden as failure:
        # Administrators are told: waiting, as for a server that is away, would not help them.
        raise Forbidden(str(failure)) from failure
    except IdentityRefused as refusal:
        told = _refusal(refusal, missing, invalid)
        if told is None:
            raise
        raise told from refusal


def _refusal(refusal: IdentityRefused, missing: str, invalid: str) -> Refusal | None:
    words = str(refusal)
    if refusal.status == 404:
        return Missing(words, param=missing)
    if refusal.status == 409:
        return Conflict(words, param=invalid or ("email" if "email" in words else ""))
    if refusal.status == 400:
        field = _CAPITAL.sub("_", refusal.field).lower() or invalid
        return Invalid(f"{field}: {words}" if field else words, param=field)
    return None
