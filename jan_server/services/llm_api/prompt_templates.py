"""Prompt templates: texts that modules put into chats, and that clients read by their key.

Several templates may share a key; the oldest active one is the global text of that key, and a
model may have one of its own (see `model_prompt_templates`).
Source: contract/llm-api.md, section 18.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Executable, delete, func, insert, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.database.turns import take_turn
from jan_server.http.ids import public_id
from jan_server.services.llm_api.built_in_prompts import BUILT_IN
from jan_server.services.llm_api.refusals import Conflict, Forbidden, Invalid, Missing
from jan_server.services.llm_api.tables import can_be_compared
from jan_server.services.llm_api.tables.prompt_template import PROMPT_TEMPLATES
from jan_server.services.llm_api.template_expressions import TemplateError
from jan_server.services.llm_api.template_text import parse_template

ID_LENGTH = 24

CHANNEL = "llm_api_prompts"
"""What PostgreSQL tells listeners whenever templates or their assignments change."""


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A template as it is stored.

    Attributes:
        id: The key of its row.
        public_id: What routes take.
        template_key: What modules and clients ask for.
        content: The text; that of a module's key is a template (see `template_text`).
        variables: The values that the text uses, for whoever edits it.
        is_system: Whether it came with the program, and cannot be deleted.
        version: Counts its changes, from 1.
    """

    id: UUID
    public_id: str
    name: str
    description: str
    category: str
    template_key: str
    content: str
    variables: list[str]
    metadata: dict[str, Any]
    is_active: bool
    is_system: bool
    version: int
    created_at: datetime
    updated_at: datetime


TEMPLATE_COLUMNS = tuple(PROMPT_TEMPLATES.c[member.name] for member in fields(PromptTemplate))
"""What a record is made of, in its order."""

_BY_AGE = (PROMPT_TEMPLATES.c.created_at, PROMPT_TEMPLATES.c.id)


async def find_active_template(session: AsyncSession, key: str) -> PromptTemplate:
    """The global text of a key: its oldest active template; `Missing` when there is none."""
    if not can_be_compared(key):
        raise _missing()
    of_key = (PROMPT_TEMPLATES.c.template_key == key) & PROMPT_TEMPLATES.c.is_active
    return await _first(session, select(*TEMPLATE_COLUMNS).where(of_key).order_by(*_BY_AGE).limit(1))


async def find_template(session: AsyncSession, template_id: str, *, param: str = "") -> PromptTemplate:
    """The template with this public id, active or not; `Missing` when there is none."""
    if not can_be_compared(template_id):
        raise _missing(param)
    statement = select(*TEMPLATE_COLUMNS).where(PROMPT_TEMPLATES.c.public_id == template_id)
    return await _first(session, statement, param=param)


async def find_template_by_any_id(
    session: AsyncSession, template_id: str, *, param: str = ""
) -> PromptTemplate:
    """The template with this public id or this `id`; `Missing` when there is none."""
    try:
        key = UUID(template_id)
    except ValueError:
        return await find_template(session, template_id, param=param)
    return await _first(session, select(*TEMPLATE_COLUMNS).where(PROMPT_TEMPLATES.c.id == key), param=param)


async def list_templates(
    session: AsyncSession,
    *,
    limit: int,
    offset: int = 0,
    category: str | None = None,
    is_active: bool | None = None,
    is_system: bool | None = None,
    search: str | None = None,
) -> tuple[list[PromptTemplate], int]:
    """A page of the templates by name, and the number of all that fit.

    Args:
        session: The open transaction.
        limit: How many at most.
        offset: How many to skip.
        category: Only this category.
        is_active: Only those in use, or only those that are not.
        is_system: Only those that came with the program, or only the others.
        search: Part of the name, the key or the description, in any case.
    """
    stored = PROMPT_TEMPLATES.c
    conditions: list[ColumnElement[bool]] = []
    if category is not None:
        conditions.append(stored.category == category)
    if is_active is not None:
        conditions.append(stored.is_active.is_(is_active))
    if is_system is not None:
        conditions.append(stored.is_system.is_(is_system))
    if search:
        conditions.append(
            or_(
                *(
                    column.icontains(search, autoescape=True)
                    for column in (stored.name, stored.template_key, stored.description)
                )
            )
        )
    counted = select(func.count()).select_from(PROMPT_TEMPLATES).where(*conditions)
    total: int = (await execute(session, counted)).scalar_one()
    rows = (
        select(*TEMPLATE_COLUMNS)
        .where(*conditions)
        .order_by(stored.name, *_BY_AGE)
        .limit(limit)
        .offset(offset)
    )
    return [PromptTemplate(*row) for row in await execute(session, rows)], total


async def create_template(
    session: AsyncSession,
    *,
    author: str,
    name: str,
    category: str,
    template_key: str,
    content: str,
    description: str = "",
    variables: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> PromptTemplate:
    """Make a template, active from now on.

    Args:
        session: The open transaction.
        author: The subject of who asks.
        name: Its title.
        category: Where it is listed.
        template_key: What modules and clients will ask for.
        content: Its text.
        description: What it is for.
        variables: The values that the text uses.
        metadata: Whatever else is to be kept with it.

    Raises:
        Conflict: Some template has this key already.
        Invalid: The key is a module's, and the text is no template.
    """
    check_content(template_key, content)
    # Keys are not unique in the table, since copies share theirs: creations of one key take turns.
    await take_turn(session, f"{CHANNEL} {template_key}")
    taken = select(PROMPT_TEMPLATES.c.id).where(PROMPT_TEMPLATES.c.template_key == template_key).limit(1)
    if (await execute(session, taken)).one_or_none() is not None:
        raise Conflict(
            f"there is a template with the key {template_key} already; change that one, or duplicate it",
            param="template_key",
        )
    return await _insert(
        session,
        author=author,
        name=name,
        description=description,
        category=category,
        template_key=template_key,
        content=content,
        variables=variables or [],
        metadata=metadata or {},
    )


async def duplicate_template(
    session: AsyncSession, template: PromptTemplate, *, author: str, name: str
) -> PromptTemplate:
    """Make a copy with the same key, which does not belong to the system."""
    return await _insert(
        session,
        author=author,
        name=name,
        description=template.description,
        category=template.category,
        template_key=template.template_key,
        content=template.content,
        variables=template.variables,
        metadata=template.metadata,
    )


async def update_template(
    session: AsyncSession, template: PromptTemplate, changes: Mapping[str, Any], *, author: str
) -> PromptTemplate:
    """Change members by name and keep the rest; each call counts as a new version.

    Raises:
        Invalid: The key is a module's, and the new text is no template.
        Missing: It was deleted in the meantime.
    """
    if "content" in changes:
        check_content(template.template_key, changes["content"])
    statement = (
        update(PROMPT_TEMPLATES)
        .where(PROMPT_TEMPLATES.c.id == template.id)
        .values(
            **changes,
            version=PROMPT_TEMPLATES.c.version + 1,
            updated_by=author[:255],
            updated_at=func.clock_timestamp(),
        )
        .returning(*TEMPLATE_COLUMNS)
    )
    return await _first(session, statement)


async def delete_template(session: AsyncSession, template: PromptTemplate) -> None:
    """Remove a template; models that had chosen it use the global one again.

    Raises:
        Forbidden: It came with the program.
        Missing: It was deleted in the meantime.
    """
    if template.is_system:
        raise Forbidden("a system template cannot be deleted; set is_active to false instead")
    statement = (
        delete(PROMPT_TEMPLATES).where(PROMPT_TEMPLATES.c.id == template.id).returning(PROMPT_TEMPLATES.c.id)
    )
    if (await execute(session, statement)).one_or_none() is None:
        raise _missing()


def check_content(key: str, content: str, *, param: str = "content") -> None:
    """Refuse what a module could not fill.

    Args:
        key: The key under which the text is used; only those of modules are looked at.
        content: The text.
        param: The field that a refusal names.

    Raises:
        Invalid: The text is no template; the message names the line.
    """
    if key not in BUILT_IN:
        return
    try:
        parse_template(content)
    except TemplateError as failure:
        raise Invalid(f"{param} is not a template that {key} can use: {failure}", param=param) from failure


async def _insert(session: AsyncSession, *, author: str, **values: Any) -> PromptTemplate:
    statement = (
        insert(PROMPT_TEMPLATES)
        .values(
            **values,
            id=uuid4(),
            public_id=public_id("pt", ID_LENGTH),
            is_active=True,
            is_system=False,
            version=1,
            created_by=author[:255],
            updated_by=author[:255],
            created_at=func.statement_timestamp(),
            updated_at=func.statement_timestamp(),
        )
        .returning(*TEMPLATE_COLUMNS)
    )
    return PromptTemplate(*(await execute(session, statement)).one())


async def _first(session: AsyncSession, statement: Executable, *, param: str = "") -> PromptTemplate:
    row = (await execute(session, statement)).one_or_none()
    if row is None:
        raise _missing(param)
    return PromptTemplate(*row)


def _missing(param: str = "") -> Missing:
    return Missing("prompt template not found", param=param)
