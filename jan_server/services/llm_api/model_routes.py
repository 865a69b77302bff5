"""Routes of models as administrators keep them: aliases, weighted groups and ordered fallbacks.

A route is a name that clients send as `model`. Its targets are models: one makes an alias, several of
one priority a weighted group, higher priorities are fallbacks. A target is never another route, so
that no name can lead back to itself. How a request finds its way is told in `routing.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from sqlalchemy import ColumnElement, func, or_
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.http.pagination import PageRequest
from jan_server.inference.upstream_errors import FailureKind
from jan_server.services.llm_api.refusals import Conflict, Invalid, Missing
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.tables.model import ProviderModel
from jan_server.services.llm_api.tables.model_route import ModelRoute
from jan_server.services.llm_api.tables.provider import Provider

logger = logging.getLogger("jan.llm-api.routes")

FALLBACK_ON: tuple[FailureKind, ...] = get_args(FailureKind)
"""What a request may fall back on, all of it by default."""

SETTINGS = "settings"


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A route as somebody asks for it; see `tables.model_route`."""

    name: str
    targets: tuple[dict[str, Any], ...]
    description: str = ""
    fallback_on: tuple[str, ...] = FALLBACK_ON
    active: bool = True

    def columns(self) -> dict[str, Any]:
        """The same by the names of the table's columns."""
        return {
            "name": self.name,
            "description": self.description,
            "targets": list(self.targets),
            "fallback_on": list(self.fallback_on),
            "active": self.active,
        }


def route_object(row: ModelRoute) -> dict[str, Any]:
    """A route as the API shows it."""
    return {
        "id": row.public_id,
        "name": row.name,
        "description": row.description,
        "targets": [
            {
                "model": target["model"],
                "provider_id": target.get("provider_id"),
                "weight": target.get("weight", 1),
                "priority": target.get("priority", 0),
            }
            for target in row.targets
        ],
        "fallback_on": row.fallback_on,
        "active": row.active,
        "source": row.source,
        "created_at": int(row.created_at.timestamp()),
        "updated_at": int(row.updated_at.timestamp()),
    }


async def list_routes(
    session: AsyncSession, page: PageRequest, *, search: str | None = None, active: bool | None = None
) -> tuple[list[ModelRoute], int]:
    """A page of the routes by age, and the number of all that fit.

    Args:
        session: The open transaction.
        page: Which page; `offset` counts.
        search: Part of a name, in any case.
        active: Only those in use, or only those that are not.
    """
    conditions: list[ColumnElement[bool]] = [col(ModelRoute.deleted_at).is_(None)]
    if search:
        conditions.append(col(ModelRoute.name).icontains(search, autoescape=True))
    if active is not None:
        conditions.append(col(ModelRoute.active).is_(active))
    total = (await session.exec(select(func.count()).select_from(ModelRoute).where(*conditions))).one()
    key = col(ModelRoute.id)
    query = select(ModelRoute).where(*conditions).order_by(key.desc() if page.order == "desc" else key.asc())
    return list(await session.exec(query.offset(page.offset or 0).limit(page.limit))), total


async def find_route(session: AsyncSession, public_id: str) -> ModelRoute:
    """The route with this id (`rte_…`); `Missing` when there is none."""
    query = select(ModelRoute).where(ModelRoute.public_id == public_id, col(ModelRoute.deleted_at).is_(None))
    row = (await session.exec(query)).first()
    if row is None:
        raise Missing("model route not found", param="route_id")
    return row


async def create_route(session: AsyncSession, spec: RouteSpec) -> ModelRoute:
    """Write a new route.

    Raises:
        Invalid: A target is unknown or a route itself; `param` names it.
        Conflict: There is a route of this name.
    """
    await _check_targets(session, spec.name, spec.targets)
    row = ModelRoute(**spec.columns())
    await _write(session, row)
    return row


async def update_route(session: AsyncSession, row: ModelRoute, changes: Mapping[str, Any]) -> ModelRoute:
    """Change what is given, columns by name.

    Raises:
        Invalid: A target is unknown or a route itself; `param` names it.
        Conflict: There is a route of the new name, or the route belongs to the settings.
    """
    _refuse_described(row)
    if "targets" in changes or "name" in changes:
        await _check_targets(session, changes.get("name", row.name), changes.get("targets", row.targets))
    for name, value in changes.items():
        setattr(row, name, value)
    await _write(session, row)
    return row


async def delete_route(session: AsyncSession, row: ModelRoute) -> None:
    """Remove a route; its row stays.

    Raises:
        Conflict: The route belongs to the settings.
    """
    _refuse_described(row)
    row.active = False
    row.deleted_at = now()
    session.add(row)


async def save_described_routes(session: AsyncSession, specs: Sequence[RouteSpec]) -> None:
    """Bring the routes of the settings to what these say; a name of theirs is taken from whoever had it.

    A target that does not exist is none yet: models are known only after providers were asked for them.
    """
    query = select(ModelRoute).where(col(ModelRoute.deleted_at).is_(None))
    known = {row.name: row for row in await session.exec(query)}
    providers = {
        row.display_name: row.public_id
        for row in await session.exec(select(Provider).where(col(Provider.deleted_at).is_(None)))
    }
    for spec in specs:
        row = known.get(spec.name)
        if row is None:
            row = ModelRoute(name=spec.name, source=SETTINGS)
        elif row.source != SETTINGS:
            logger.warning("the settings describe the model route %s anew; the API's is gone", spec.name)
        columns = spec.columns()
        columns["targets"] = [
            {**target, "provider_id": providers.get(target["provider_id"] or "", target["provider_id"])}
            for target in spec.targets
        ]
        for name, value in {**columns, "source": SETTINGS}.items():
            if getattr(row, name) != value:
                setattr(row, name, value)
        session.add(row)
    names = {spec.name for spec in specs}
    for row in known.values():
        if row.source == SETTINGS and row.name not in names:
            row.active = False
            row.deleted_at = now()
            session.add(row)


def check_unique(targets: Iterable[Mapping[str, Any]], place: str = "targets") -> None:
    """Refuse a target that is listed twice.

    Raises:
        Invalid: `param` names the second one.
    """
    seen: set[tuple[str, str | None]] = set()
    for index, target in enumerate(targets):
        key = (target["model"], target.get("provider_id"))
        if key in seen:
            raise Invalid(
                f"{place}[{index}] is listed twice; give one target a higher weight instead",
                param=f"{place}[{index}]",
                code="invalid_value",
            )
        seen.add(key)


async def _check_targets(session: AsyncSession, name: str, targets: Sequence[Mapping[str, Any]]) -> None:
    check_unique(targets)
    for index, target in enumerate(targets):
        await _check_target(session, name, target, f"targets[{index}]")


async def _check_target(session: AsyncSession, name: str, target: Mapping[str, Any], place: str) -> None:
    model, provider = target["model"], target.get("provider_id")
    if provider:
        query = select(Provider.id).where(Provider.public_id == provider, col(Provider.deleted_at).is_(None))
        if (await session.exec(query)).first() is None:
            raise Invalid(
                f"there is no provider {provider}", param=f"{place}.provider_id", code="provider_not_found"
            )
    offered = (
        select(ProviderModel.id)
        .join(Provider, col(Provider.id) == ProviderModel.provider_id)
        .where(
            or_(
                col(ProviderModel.model_public_id) == model,
                col(ProviderModel.provider_original_model_id) == model,
            ),
            col(ProviderModel.deleted_at).is_(None),
            col(Provider.deleted_at).is_(None),
            *([col(Provider.public_id) == provider] if provider else []),
        )
    )
    if (await session.exec(offered)).first() is not None:
        return
    if model == name or await _is_route(session, model):
        raise Invalid(
            f"{model} is a model route, and a route leads to models only; name the models themselves",
            param=f"{place}.model",
            code="target_is_route",
        )
    whose = f"provider {provider} offers no model" if provider else "there is no model"
    raise Invalid(f"{whose} {model}", param=f"{place}.model", code="model_not_found")


async def _is_route(session: AsyncSession, name: str) -> bool:
    query = select(ModelRoute.id).where(ModelRoute.name == name, col(ModelRoute.deleted_at).is_(None))
    return (await session.exec(query)).first() is not None


async def _write(session: AsyncSession, row: ModelRoute) -> None:
    session.add(row)
    name = row.name
    try:
        await session.flush()
    except IntegrityError as failure:
        raise Conflict(f"there is a model route {name} already; change that one", param="name") from failure
    await session.refresh(row)


def _refuse_described(row: ModelRoute) -> None:
    if row.source == SETTINGS:
        raise Conflict(
            f"the model route {row.name} comes from the settings; change it there, under "
            "services.llm_api.model_routes, with `jan config set`",
            code="managed_by_settings",
        )
