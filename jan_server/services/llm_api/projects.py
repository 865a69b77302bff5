"""Projects: named folders of conversations whose instruction goes with every chat in them.

Source: contract/llm-api.md, section 14.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.http.ids import is_public_id, public_id
from jan_server.http.pagination import PageRequest
from jan_server.services.llm_api.pages import Page, read_page
from jan_server.services.llm_api.refusals import Conflict, Invalid, Missing
from jan_server.services.llm_api.tables.project import PROJECTS

NAME_TAKEN = "Project name already exists"


@dataclass(frozen=True, slots=True)
class Project:
    """A project as it is stored.

    Attributes:
        id: The key of its row; `public_id` is what clients see.
        archived_at: When it was archived; None while it is not.
    """

    id: int
    public_id: str
    user_id: int
    name: str
    instruction: str | None
    favorite: bool
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime


_COLUMNS = (
    PROJECTS.c.id,
    PROJECTS.c.public_id,
    PROJECTS.c.user_id,
    PROJECTS.c.name,
    PROJECTS.c.instruction,
    PROJECTS.c.favorite,
    PROJECTS.c.archived_at,
    PROJECTS.c.created_at,
    PROJECTS.c.updated_at,
)


async def find_project(
    session: AsyncSession, user_id: int, project_id: str, *, param: str = "project_id"
) -> Project:
    """The user's project with this public id.

    Raises:
        Invalid: It has not the form of a project id.
        Missing: It is unknown, deleted or another user's.
    """
    if not is_public_id("proj", project_id):
        raise Invalid("invalid project ID", param=param)
    statement = select(*_COLUMNS).where(
        PROJECTS.c.public_id == project_id, PROJECTS.c.user_id == user_id, PROJECTS.c.deleted_at.is_(None)
    )
    row = (await execute(session, statement)).one_or_none()
    if row is None:
        raise Missing("project not found", param=param)
    return Project(*row)


async def list_projects(session: AsyncSession, user_id: int, page: PageRequest) -> Page[Project]:
    """The user's projects by their last change, archived ones included; `Invalid` for a bad cursor."""
    alive = (PROJECTS.c.user_id == user_id) & PROJECTS.c.deleted_at.is_(None)
    return await read_page(
        session,
        PROJECTS,
        _COLUMNS,
        Project,
        alive,
        page,
        user_id=user_id,
        bad_cursor="invalid pagination cursor",
    )


async def create_project(
    session: AsyncSession, user_id: int, name: str, instruction: str | None = None
) -> Project:
    """Make a project.

    Raises:
        Conflict: The user has one of this name; its `code` is that project's public id.
    """
    statement = (
        insert(PROJECTS)
        .values(
            public_id=public_id("proj"),
            user_id=user_id,
            name=name,
            instruction=instruction or None,
            created_at=func.statement_timestamp(),
            updated_at=func.statement_timestamp(),
        )
        .on_conflict_do_nothing(index_elements=["user_id", "name", "deleted_at"])
        .returning(*_COLUMNS)
    )
    row = (await execute(session, statement)).one_or_none()
    if row is None:
        raise await _name_taken(session, user_id, name)
    return Project(*row)


async def update_project(
    session: AsyncSession,
    project: Project,
    *,
    name: str | None = None,
    instruction: str | None = None,
    favorite: bool | None = None,
    archived: bool | None = None,
) -> Project:
    """Change what is given and keep the rest; an empty `instruction` removes it.

    Raises:
        Conflict: The user has another project of this name; its `code` is that project's public id.
        Missing: The project was deleted in the meantime.
    """
    values: dict[str, object] = {}
    if name is not None:
        values["name"] = name
    if instruction is not None:
        values["instruction"] = instruction or None
    if favorite is not None:
        values["favorite"] = favorite
    if archived is True:
        values["archived_at"] = func.coalesce(PROJECTS.c.archived_at, func.clock_timestamp())
    elif archived is False:
        values["archived_at"] = None
    if not values:
        return project
    statement = (
        update(PROJECTS)
        .where(PROJECTS.c.id == project.id, PROJECTS.c.deleted_at.is_(None))
        .values(**values, updated_at=func.clock_timestamp())
        .returning(*_COLUMNS)
    )
    try:
        async with session.begin_nested():
            row = (await execute(session, statement)).one_or_none()
    except IntegrityError as failure:
        raise await _name_taken(session, project.user_id, str(name)) from failure
    if row is None:
        raise Missing("project not found")
    return Project(*row)


async def delete_project(session: AsyncSession, project: Project) -> None:
    """Delete a project; its conversations stay and keep naming it. `Missing` when it is gone already."""
    statement = (
        update(PROJECTS)
        .where(PROJECTS.c.id == project.id, PROJECTS.c.deleted_at.is_(None))
        .values(deleted_at=func.clock_timestamp(), updated_at=PROJECTS.c.updated_at)
        .returning(PROJECTS.c.id)
    )
    if (await execute(session, statement)).one_or_none() is None:
        raise Missing("project not found")


async def _name_taken(session: AsyncSession, user_id: int, name: str) -> Conflict:
    statement = select(PROJECTS.c.public_id).where(
        PROJECTS.c.user_id == user_id, PROJECTS.c.name == name, PROJECTS.c.deleted_at.is_(None)
    )
    holder = (await execute(session, statement)).scalar_one_or_none()
    return Conflict(NAME_TAKEN, param="name", code=holder or "")
