"""Model prompt templates: which template a model uses for a key in place of the global one.

Source: contract/llm-api.md, section 19.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.services.llm_api.catalogs import find_catalog
from jan_server.services.llm_api.prompt_templates import (
    TEMPLATE_COLUMNS,
    PromptTemplate,
    check_content,
    find_template_by_any_id,
)
from jan_server.services.llm_api.refusals import Missing
from jan_server.services.llm_api.tables import can_be_compared
from jan_server.services.llm_api.tables.prompt_template import MODEL_PROMPT_TEMPLATES, PROMPT_TEMPLATES


@dataclass(frozen=True, slots=True)
class Assignment:
    """A model's own choice of a template.

    Attributes:
        id: The key of its row.
        model_id: The catalogue's id of the model.
        template_key: The key for which the template is used, whatever its own key is.
        priority: Only an order of display: a model has one assignment a key.
        is_active: Whether it counts; else the global template does.
        template: What was chosen.
    """

    id: UUID
    model_id: str
    template_key: str
    priority: int
    is_active: bool
    created_at: datetime
    updated_at: datetime
    template: PromptTemplate


@dataclass(frozen=True, slots=True)
class EffectiveTemplate:
    """What a model gets for a key, and whether it is the model's own."""

    template: PromptTemplate
    own: bool


_OWN = MODEL_PROMPT_TEMPLATES.c
_COLUMNS = (
    _OWN.id,
    _OWN.model_catalog_public_id,
    _OWN.template_key,
    _OWN.priority,
    _OWN.is_active,
    _OWN.created_at,
    _OWN.updated_at,
)
_JOINED = select(*_COLUMNS, *TEMPLATE_COLUMNS).join_from(
    MODEL_PROMPT_TEMPLATES, PROMPT_TEMPLATES, PROMPT_TEMPLATES.c.id == _OWN.prompt_template_id
)


def _assignment(row: Any) -> Assignment:
    own = len(_COLUMNS)
    values = (*row[:own], PromptTemplate(*row[own:]))
    return Assignment(*values)


async def list_assignments(
    session: AsyncSession, model_id: str, *, limit: int | None = None, offset: int = 0
) -> tuple[list[Assignment], int]:
    """A model's assignments, those of the highest priority first, and the number of all.

    Raises:
        Missing: The catalogue does not know the model.
    """
    await _check_model(session, model_id)
    of_model = _OWN.model_catalog_public_id == model_id
    counted = select(func.count()).select_from(MODEL_PROMPT_TEMPLATES).where(of_model)
    total: int = (await execute(session, counted)).scalar_one()
    rows = _JOINED.where(of_model).order_by(_OWN.priority.desc(), _OWN.template_key)
    found = await execute(session, rows.limit(limit).offset(offset))
    return [_assignment(row) for row in found], total


async def assign_template(
    session: AsyncSession,
    model_id: str,
    *,
    author: str,
    template_key: str,
    template_id: str,
    priority: int = 0,
    is_active: bool = True,
) -> Assignment:
    """Let a model use a template for a key, in place of what it used before.

    Args:
        session: The open transaction.
        model_id: The catalogue's id of the model.
        author: The subject of who asks.
        template_key: The key for which the template is used.
        template_id: The template's public id, or its `id`.
        priority: Where the assignment stands in lists.
        is_active: Whether it counts.

    Raises:
        Missing: The model or the template is unknown.
        Invalid: The key is a module's, and the text is no template.
    """
    await _check_model(session, model_id)
    template = await _usable(session, template_key, template_id)
    chosen = {
        "prompt_template_id": template.id,
        "priority": priority,
        "is_active": is_active,
        "updated_by": author[:255],
        "updated_at": func.clock_timestamp(),
    }
    statement = (
        insert(MODEL_PROMPT_TEMPLATES)
        .values(
            id=uuid4(),
            model_catalog_public_id=model_id,
            template_key=template_key,
            created_by=author[:255],
            created_at=func.statement_timestamp(),
            **{**chosen, "updated_at": func.statement_timestamp()},
        )
        .on_conflict_do_update(index_elements=["model_catalog_public_id", "template_key"], set_=chosen)
        .returning(*_COLUMNS)
    )
    values = (*(await execute(session, statement)).one(), template)
    return Assignment(*values)


async def update_assignment(
    session: AsyncSession, model_id: str, template_key: str, changes: Mapping[str, Any], *, author: str
) -> Assignment:
    """Change `priority`, `is_active` or `prompt_template_id`, and keep the rest.

    Raises:
        Missing: The model has no assignment of this key, or the template is unknown.
        Invalid: The key is a module's, and the text is no template.
    """
    await _find(session, model_id, template_key)
    values = dict(changes)
    if "prompt_template_id" in values:
        values["prompt_template_id"] = (await _usable(session, template_key, values["prompt_template_id"])).id
    statement = (
        update(MODEL_PROMPT_TEMPLATES)
        .where(_OWN.model_catalog_public_id == model_id, _OWN.template_key == template_key)
        .values(**values, updated_by=author[:255], updated_at=func.clock_timestamp())
    )
    await execute(session, statement)
    return await _find(session, model_id, template_key)


async def remove_assignment(session: AsyncSession, model_id: str, template_key: str) -> None:
    """Let a model use the global template of a key again; `Missing` when it has no own one."""
    await _find(session, model_id, template_key)
    await execute(
        session,
        delete(MODEL_PROMPT_TEMPLATES).where(
            _OWN.model_catalog_public_id == model_id, _OWN.template_key == template_key
        ),
    )


async def effective_templates(session: AsyncSession, model_id: str) -> dict[str, EffectiveTemplate]:
    """What a model gets for each key that has an active template, by key.

    Raises:
        Missing: The catalogue does not know the model.
    """
    await _check_model(session, model_id)
    found = {
        template.template_key: EffectiveTemplate(template, own=False)
        for template in await global_templates(session)
    }
    for assignment in await active_assignments(session, model_id):
        found[assignment.template_key] = EffectiveTemplate(assignment.template, own=True)
    return dict(sorted(found.items()))


async def global_templates(session: AsyncSession) -> list[PromptTemplate]:
    """For each key its oldest active template."""
    stored = PROMPT_TEMPLATES.c
    statement = (
        select(*TEMPLATE_COLUMNS)
        .where(stored.is_active)
        .ext(distinct_on(stored.template_key))
        .order_by(stored.template_key, stored.created_at, stored.id)
    )
    return [PromptTemplate(*row) for row in await execute(session, statement)]


async def active_assignments(session: AsyncSession, model_id: str | None = None) -> list[Assignment]:
    """The assignments that count, of one model or of all: they and their templates are active."""
    statement = _JOINED.where(_OWN.is_active, PROMPT_TEMPLATES.c.is_active)
    if model_id is not None:
        statement = statement.where(_OWN.model_catalog_public_id == model_id)
    return [_assignment(row) for row in await execute(session, statement)]


async def _find(session: AsyncSession, model_id: str, template_key: str) -> Assignment:
    missing = Missing("the model has no template of its own for this key", param="template_key")
    if not can_be_compared(model_id + template_key):
        raise missing
    statement = _JOINED.where(_OWN.model_catalog_public_id == model_id, _OWN.template_key == template_key)
    row = (await execute(session, statement)).one_or_none()
    if row is None:
        raise missing
    return _assignment(row)


async def _usable(session: AsyncSession, template_key: str, template_id: str) -> PromptTemplate:
    template = await find_template_by_any_id(session, template_id, param="prompt_template_id")
    check_content(template_key, template.content, param="prompt_template_id")
    return template


async def _check_model(session: AsyncSession, model_id: str) -> None:
    if not can_be_compared(model_id):
        raise Missing("model catalog not found", code="model_catalog_not_found")
    await find_catalog(session, model_id)
