"""Feature flags: their definitions, and which of them a group may carry.

A group's flags reach its members with their next token, as the claim `feature_flags`; models of
the catalogue may ask for one. Keys are compared ignoring case. Source: contract/llm-api.md,
section 17, and contract/identity.md, section 10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.services.llm_api.refusals import Conflict, Invalid
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.feature_flag import FeatureFlag
from jan_server.services.llm_api.tables.model import ModelCatalog

NAMED_MODELS = 3


async def list_flags(session: AsyncSession) -> Sequence[FeatureFlag]:
    """All flags, by key."""
    return (await session.exec(select(FeatureFlag).order_by(col(FeatureFlag.key)))).all()


async def find_flag(session: AsyncSession, flag_id: str) -> FeatureFlag | None:
    """The flag with this id, locked until the transaction ends, or None."""
    try:
        key = UUID(flag_id)
    except ValueError:
        return None
    return await session.get(FeatureFlag, key, with_for_update=True)


async def create_flag(
    session: AsyncSession, *, key: str, name: str, description: str, category: str
) -> FeatureFlag:
    """Define a flag; `Conflict` when there is one with this key."""
    flag = FeatureFlag(key=key, name=name, description=description, category=category)
    await _store(session, flag)
    return flag


async def update_flag(session: AsyncSession, flag: FeatureFlag, changes: Mapping[str, Any]) -> None:
    """Change members by name; models that ask for the flag follow a new key.

    Raises:
        Conflict: Another flag has this key.
    """
    for name, value in changes.items():
        setattr(flag, name, value)
    flag.updated_at = now()
    await _store(session, flag)


async def _store(session: AsyncSession, flag: FeatureFlag) -> None:
    session.add(flag)
    try:
        await session.flush()
    except IntegrityError as failure:
        raise Conflict("there is a feature flag with this key already", param="key") from failure


async def delete_flag(session: AsyncSession, flag: FeatureFlag) -> None:
    """Remove a definition.

    Raises:
        Conflict: Models of the catalogue ask for it, and would be open to everybody without it.
    """
    asking = select(ModelCatalog.public_id).where(ModelCatalog.requires_feature_flag == flag.key)
    models = (await session.exec(asking.order_by(col(ModelCatalog.public_id)))).all()
    if models:
        named = ", ".join(models[:NAMED_MODELS]) + (", …" if len(models) > NAMED_MODELS else "")
        raise Conflict(f"models ask for the feature flag {flag.key}: {named}; change them first")
    await session.delete(flag)
    await session.flush()


async def defined_flags(session: AsyncSession, wanted: Sequence[str]) -> dict[str, str]:
    """Those of the wanted keys that are defined, by their lower case; they stay so in the transaction."""
    statement = (
        select(FeatureFlag.key)
        .where(func.lower(col(FeatureFlag.key)).in_([key.lower() for key in wanted]))
        .order_by(col(FeatureFlag.key))
        .with_for_update(read=True, key_share=True)
    )
    return {key.lower(): key for key in (await session.exec(statement)).all()}


def as_defined(wanted: Sequence[str], defined: Mapping[str, str], *, param: str) -> list[str]:
    """The wanted keys as they are defined, each once.

    Args:
        wanted: Keys in any case.
        defined: What is known of them, as `defined_flags` says.
        param: The list that holds them.

    Raises:
        Invalid: One of them is not defined.
    """
    for index, key in enumerate(wanted):
        if key.lower() not in defined:
            place = f"{param}[{index}]"
            raise Invalid(f"{place}: there is no feature flag {key!r}; define it first", param=place)
    return list(dict.fromkeys(defined[key.lower()] for key in wanted))


async def required_flag(session: AsyncSession, wanted: str) -> str:
    """The key of the flag that a model is to ask for, as it is defined; `Invalid` when it is not."""
    defined = await defined_flags(session, [wanted])
    if wanted.lower() not in defined:
        field = "requires_feature_flag"
        raise Invalid(f"{field}: there is no feature flag {wanted!r}; define it first", param=field)
    return defined[wanted.lower()]
