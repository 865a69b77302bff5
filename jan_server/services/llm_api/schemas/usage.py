"""What travels on the routes of usage."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from jan_server.services.llm_api.usage import Usage, UsageFilter, UsageGroup

CSV_TYPE = "text/csv"
_FORMULA_MARKS = ("=", "+", "-", "@", "\t", "\r")


class UsagePeriod(BaseModel):
    """The days that are looked at, both included."""

    start_date: date
    end_date: date


class UsageSums(BaseModel):
    """What calls of models added up to; the members before the sums tell what they belong to."""

    date_: date | None = Field(None, alias="date", description="In a daily list, or grouped by `day`.")
    model: str | None = None
    provider: str | None = None
    user_id: int | None = Field(None, description="The local number of a user.")
    username: str | None = None
    email: str | None = None
    key_id: str | None = Field(None, description="An API key; null for calls with a token.")
    key_name: str | None = None
    project_id: str | None = Field(None, description="A project; null for calls outside of projects.")
    total_prompt_tokens: int
    total_completion_tokens: int
    total_tokens: int
    estimated_tokens: int = Field(description="Those that the provider did not count.")
    request_count: int = Field(description="Failed calls included.")
    failed_count: int
    estimated_cost_usd: str = Field(description="A decimal in text, as far as prices are known.")


class UsageReport(BaseModel):
    """Usage over some days."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "period": {"start_date": "2026-01-01", "end_date": "2026-01-30"},
                "total_usage": {
                    "total_prompt_tokens": 1200,
                    "total_completion_tokens": 340,
                    "total_tokens": 1540,
                    "estimated_tokens": 0,
                    "request_count": 12,
                    "failed_count": 1,
                    "estimated_cost_usd": "0.0064",
                },
                "by_model": [],
                "by_provider": [],
            }
        }
    )

    period: UsagePeriod
    total_usage: UsageSums
    by_model: list[UsageSums]
    by_provider: list[UsageSums]
    by_key: list[UsageSums] = []
    by_project: list[UsageSums] = []
    top_users: list[UsageSums] = Field([], description="Only for administrators.")
    data: list[UsageSums] | None = Field(None, description="Only with `group_by`.")


class DailyUsage(BaseModel):
    """Usage day by day; days without any are left out."""

    period: UsagePeriod
    data: list[UsageSums]


@dataclass(frozen=True, slots=True)
class UsageNames:
    """What users (username and e-mail address) and keys are called."""

    users: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    keys: Mapping[UUID, str] = field(default_factory=dict)


_COLUMNS = {"day": ("date",), "user": ("user_id", "username", "email"), "key": ("key_id", "key_name")}
_COLUMNS |= {"project": ("project_id",), "model": ("model",), "provider": ("provider",)}


def group_columns(by: Sequence[str]) -> list[str]:
    """The names of a group's members, in their order."""
    nothing = Usage(0, 0, 0, 0, 0, 0, Decimal())
    return [column for name in by for column in _COLUMNS[name]] + list(usage_members(nothing))


def period_members(wanted: UsageFilter) -> dict[str, Any]:
    """The days of a filter as they travel."""
    return {"start_date": wanted.first.isoformat(), "end_date": wanted.last.isoformat()}


def usage_members(usage: Usage) -> dict[str, Any]:
    """Sums as they travel."""
    return {
        "total_prompt_tokens": usage.prompt_tokens,
        "total_completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "estimated_tokens": usage.estimated_tokens,
        "request_count": usage.requests,
        "failed_count": usage.failed,
        "estimated_cost_usd": money_text(usage.cost),
    }


def group_members(group: UsageGroup, names: UsageNames) -> dict[str, Any]:
    """The usage of a group as it travels, behind what tells it apart."""
    members: dict[str, Any] = {}
    for name, value in group.place.items():
        if name == "day":
            members["date"] = value.isoformat()
        elif name == "user":
            username, email = names.users.get(value, ("", ""))
            members.update(user_id=value, username=username, email=email)
        elif name == "key":
            members["key_id"] = None if value is None else str(value)
            members["key_name"] = names.keys.get(value)
        elif name == "project":
            members["project_id"] = value
        else:
            members[name] = value
    return members | usage_members(group.usage)


def money_text(amount: Decimal) -> str:
    """An amount without needless zeros."""
    return f"{amount.normalize():f}" if amount else "0"


def csv_line(cells: Sequence[Any]) -> bytes:
    """One line of CSV; a text that a spreadsheet would take for a formula is marked as text."""
    line = io.StringIO()
    csv.writer(line).writerow(
        f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_MARKS) else cell for cell in cells
    )
    return line.getvalue().encode()
