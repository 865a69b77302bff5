"""Why a concept refuses what it is asked: exceptions that name the field and know no HTTP.

The app turns them into its error envelope (`routes.refused`).
"""

from __future__ import annotations


class Refusal(Exception):
    """What was asked cannot be done.

    Args:
        message: The cause, in words that say what to do.
        param: The field at fault, for example `items[0].content[2].text`; empty when there is none.
        code: A stable slug for programs; by default the usual one of the kind of refusal.
    """

    def __init__(self, message: str, *, param: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


class Invalid(Refusal):
    """The request itself is at fault."""


class Missing(Refusal):
    """What it refers to does not exist, or belongs to somebody else."""


class Conflict(Refusal):
    """It collides with what is stored."""


class Forbidden(Refusal):
    """It can be done by nobody, or not by this caller."""
