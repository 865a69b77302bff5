"""What administrators do with providers: list, register, change and remove them.

Providers of settings and of this installation's engine follow `jan config`; changing them here
would not outlive the next start, so it is refused (contract/llm-api.md, section 10.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.services.llm_api.model_ids import CUSTOM
from jan_server.services.llm_api.model_lists import ListedModel
from jan_server.services.llm_api.provider_secrets import ProviderSecrets, key_hint
from jan_server.services.llm_api.providers import ProviderSpec, apply_spec
from jan_server.services.llm_api.refusals import Conflict, Missing
from jan_server.services.llm_api.sync import store_models
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.model import ProviderModel
from jan_server.services.llm_api.tables.provider import Provider

_DESCRIBED = ("engine", "settings")


@dataclass(frozen=True, slots=True)
class CountedProvider:
    """A provider and how many models it has, and how many of them can be called."""

    row: Provider
    models: int
    active_models: int


async def list_providers(
    session: AsyncSession,
    *,
    search: str | None = None,
    kind: str | None = None,
    category: str | None = None,
    active: bool | None = None,
) -> list[CountedProvider]:
    """The providers, inactive ones included, oldest first.

    Args:
        session: The open transaction.
        search: Part of a name, in any case.
        kind: Only this kind.
        category: Only what answers this.
        active: Only those in use, or only those that are not.
    """
    query = select(Provider).where(col(Provider.deleted_at).is_(None)).order_by(col(Provider.id))
    if search:
        query = query.where(col(Provider.display_name).icontains(search, autoescape=True))
    if kind is not None:
        query = query.where(Provider.kind == kind)
    if category is not None:
        query = query.where(Provider.category == category)
    if active is not None:
        query = query.where(col(Provider.active).is_(active))
    rows = list(await session.exec(query))
    counts = await _counts(session, [row.id for row in rows])
    return [CountedProvider(row, *counts.get(row.id, (0, 0))) for row in rows]


async def count_models(session: AsyncSession, row: Provider) -> CountedProvider:
    """A provider with the number of its models."""
    counts = await _counts(session, [row.id])
    return CountedProvider(row, *counts.get(row.id, (0, 0)))


async def _counts(session: AsyncSession, keys: Sequence[int | None]) -> dict[int | None, tuple[int, int]]:
    query = (
        select(
            ProviderModel.provider_id,
            func.count(),
            func.count().filter(col(ProviderModel.active), col(ProviderModel.vanished_at).is_(None)),
        )
        .where(col(ProviderModel.provider_id).in_(keys), col(ProviderModel.deleted_at).is_(None))
        .group_by(col(ProviderModel.provider_id))
    )
    return {key: (models, active) for key, models, active in await session.exec(query)}


async def find_provider(session: AsyncSession, public_id: str) -> Provider:
    """The provider with this public id; `Missing` when there is none."""
    query = select(Provider).where(Provider.public_id == public_id, col(Provider.deleted_at).is_(None))
    row = (await session.exec(query)).first()
    if row is None:
        raise Missing("provider not found", param="provider_id")
    return row


async def refuse_second_of_kind(session: AsyncSession, kind: str) -> None:
    """Refuse a second provider of a kind other than `custom`.

    Raises:
        Conflict: There is one already.
    """
    if kind == CUSTOM:
        return
    query = select(Provider.id).where(Provider.kind == kind, col(Provider.deleted_at).is_(None))
    if (await session.exec(query)).first() is not None:
        raise Conflict(f"there is a provider of vendor {kind} already; change that one", param="vendor")


async def register_provider(
    session: AsyncSession, spec: ProviderSpec, listed: Sequence[ListedModel], secrets: ProviderSecrets
) -> Provider:
    """Write a new provider with the models that it lists."""
    row = Provider(display_name=spec.name, kind=spec.kind)
    apply_spec(row, spec, secrets)
    session.add(row)
    await session.flush()
    await store_models(session, row, listed)
    return row


async def update_provider(
    session: AsyncSession, row: Provider, changes: Mapping[str, Any], secrets: ProviderSecrets
) -> bool:
    """Change what is given: columns by name, and `api_key`, whose empty value removes the key.

    Switching a provider off switches its models off too; they stay off when it is switched on.
    A key that nobody can read any more must not go to a host that it was not given for: an
    address with another origin removes the stored key, unless the changes bring one.

    Returns:
        Whether the stored key was removed for that reason.

    Raises:
        Conflict: The provider belongs to the settings.
    """
    _refuse_described(row)
    key_stays = (
        "api_key" in changes
        or not row.encrypted_api_key
        or _origins(changes.get("endpoints", row.endpoints)) <= _origins(row.endpoints)
    )
    for name, value in {**changes, **({} if key_stays else {"api_key": ""})}.items():
        if name == "api_key":
            row.encrypted_api_key = secrets.encrypt(value)
            row.api_key_hint = key_hint(value)
        else:
            setattr(row, name, value)
    row.source = "api"
    session.add(row)
    if changes.get("active") is False:
        await session.exec(
            update(ProviderModel).where(col(ProviderModel.provider_id) == row.id).values(active=False)
        )
    return not key_stays


def _origins(endpoints: Sequence[Mapping[str, Any]]) -> set[tuple[str, str | None, int]]:
    """Scheme, host and port of each address (RFC 6454)."""
    split = [urlsplit(endpoint["url"]) for endpoint in endpoints]
    return {(url.scheme, url.hostname, url.port or (443 if url.scheme == "https" else 80)) for url in split}


async def delete_provider(session: AsyncSession, row: Provider) -> None:
    """Remove a provider with its models; their rows stay.

    Raises:
        Conflict: The provider belongs to the settings.
    """
    _refuse_described(row)
    row.active = False
    row.source = "api"
    row.deleted_at = now()
    session.add(row)
    await session.exec(
        update(ProviderModel)
        .where(col(ProviderModel.provider_id) == row.id, col(ProviderModel.deleted_at).is_(None))
        .values(deleted_at=func.now())
    )


def _refuse_described(row: Provider) -> None:
    if row.source in _DESCRIBED:
        raise Conflict(
            f"{row.display_name} comes from the settings; change it there, under inference, "
            "with `jan config set`",
            code="managed_by_settings",
        )
