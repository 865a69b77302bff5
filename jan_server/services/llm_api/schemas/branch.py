"""What travels on the routes of branches and revisions (contract/llm-api.md, section 13)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from jan_server.services.llm_api.branches import MAXIMUM_DESCRIPTION, Branch
from jan_server.services.llm_api.conversations import MAIN
from jan_server.services.llm_api.item_content import MAXIMUM_TEXT
from jan_server.services.llm_api.revisions import Revision
from jan_server.services.llm_api.schemas.chat import ChatCompletion
from jan_server.services.llm_api.schemas.item import ItemObject
from jan_server.services.llm_api.schemas.plain_text import PlainText


class NewBranch(BaseModel):
    """A wanted branch."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "shorter", "fork_from_item_id": "msg_0a1b2c3d4e5f6g7h"}}
    )

    name: str = Field(description="At most 50 printable characters, none of them a slash; not `MAIN`.")
    parent_branch: PlainText | None = Field(None, description="The active branch by default.")
    fork_from_item_id: str | None = Field(
        None, description="The last item that is copied; without it the branch starts empty."
    )
    description: Annotated[PlainText, StringConstraints(max_length=MAXIMUM_DESCRIPTION)] | None = None


class NewText(BaseModel):
    """The text that replaces a user message."""

    model_config = ConfigDict(json_schema_extra={"example": {"content": "Where shall we go in May?"}})

    content: Annotated[PlainText, StringConstraints(min_length=1, max_length=MAXIMUM_TEXT)]
    generate: bool | None = Field(None, description="Whether a model answers the new text at once.")


class _AnswerWish(BaseModel):
    """With `generate`, every further member of a chat request is taken as there."""

    model: str | None = Field(None, description="Who answers; by default the model that answered last.")
    stream: bool | None = Field(None, description="Whether the answer comes as chunks.")
    temperature: float | None = None
    max_tokens: int | None = None
    tools: list[dict[str, Any]] | None = None


class EditWish(NewText, _AnswerWish):
    """The text that replaces a user message, and how it is answered."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {"content": "Where shall we go in May?"},
                {"content": "Where shall we go in May?", "generate": True, "stream": True},
            ]
        },
    )


class RegenerationWish(_AnswerWish):
    """How a question is answered again; without `generate` the body is ignored."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {"generate": True},
                {"generate": True, "model": "jan/smollm2-135m-instruct", "temperature": 0.9},
            ]
        },
    )

    generate: bool | None = Field(None, description="Whether a model answers at once.")


class BranchObject(BaseModel):
    """A branch."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "MAIN",
                "item_count": 4,
                "created_at": 1730000000,
                "updated_at": 1730000100,
                "is_active": True,
            }
        }
    )

    name: str
    description: str | None = None
    parent_branch: str | None = None
    forked_at: int | None = Field(None, description="Unix seconds.")
    forked_from_item_id: str | None = None
    item_count: int
    created_at: int = Field(description="Unix seconds.")
    updated_at: int = Field(description="Unix seconds.")
    is_active: bool


class BranchList(BaseModel):
    """All branches of a conversation, `MAIN` first."""

    object: Literal["list"]
    data: list[BranchObject]
    active_branch: str


class BranchActivated(BaseModel):
    """Another branch is active."""

    active_branch: str
    message: str


class _Revised(BaseModel):
    branch: Literal["MAIN"]
    old_main_backup: str = Field(description="The branch under which the former `MAIN` stays readable.")
    branch_created: Literal[True]


class ItemEdited(_Revised):
    """A user message was replaced, and what came after it dropped from `MAIN`."""

    new_branch: BranchObject
    user_item: ItemObject


class ItemRegenerated(_Revised):
    """An answer was dropped from `MAIN`; the question stands last again, and the caller asks next."""

    new_branch: BranchObject
    user_item_id: str


class AnsweredEdit(ItemEdited, ChatCompletion):
    """The answer to the new text: a chat completion that tells of the edit too."""


class AnsweredRegeneration(ItemRegenerated, ChatCompletion):
    """The new answer: a chat completion that tells of the regeneration too."""


class ItemDeleted(_Revised):
    """An item and all after it were dropped from `MAIN`; those before it keep their ids."""

    deleted: Literal[True]


def branch_members(branch: Branch, active_branch: str) -> dict[str, Any]:
    """A branch as it travels."""
    members: dict[str, Any] = {"name": branch.name}
    if branch.description:
        members["description"] = branch.description
    if branch.parent_branch:
        members["parent_branch"] = branch.parent_branch
    if branch.forked_at:
        members["forked_at"] = int(branch.forked_at.timestamp())
    if branch.forked_from_item_id:
        members["forked_from_item_id"] = branch.forked_from_item_id
    members["item_count"] = branch.item_count
    members["created_at"] = int(branch.created_at.timestamp())
    members["updated_at"] = int(branch.updated_at.timestamp())
    members["is_active"] = branch.name == active_branch
    return members


def revision_members(revision: Revision) -> dict[str, Any]:
    """What the answers to an edit, a regeneration and a deletion have in common."""
    return {"branch": MAIN, "old_main_backup": revision.old_main_backup, "branch_created": True}
