"""What travels on the routes of users and groups (contract/llm-api.md, section 17)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from jan_server.services.llm_api.accounts import Account, Rights
from jan_server.services.llm_api.group_administration import Group
from jan_server.services.llm_api.schemas.plain_text import without_nul
from jan_server.services.llm_api.upgrades import is_address

LONGEST_TEXT = 255


def _address(text: str) -> str:
    if not is_address(text):
        raise PydanticCustomError("address", "must be an e-mail address such as name@example.org")
    return text


def _none_when_blank(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _group_name(name: str) -> str:
    if not name.isprintable() or "/" in name:
        raise PydanticCustomError("group_name", "must hold printable characters other than /")
    return name


Address = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=LONGEST_TEXT),
    AfterValidator(_address),
]
PersonName = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=LONGEST_TEXT), AfterValidator(without_nul)
]
UserName = Annotated[
    str | None,
    BeforeValidator(_none_when_blank),
    Field(description="Usernames cannot be changed, and in this realm the e-mail address is the username."),
]
Password = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(without_nul)]
GroupName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TEXT),
    AfterValidator(_group_name),
]
AttributeName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TEXT),
    AfterValidator(without_nul),
]
AttributeValue = Annotated[str, StringConstraints(min_length=1, max_length=2048), AfterValidator(without_nul)]


class NewUser(BaseModel):
    """A wanted user."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"email": "ada@example.org", "first_name": "Ada", "last_name": "Lovelace"}
        }
    )

    email: Address
    username: UserName = None
    first_name: PersonName | None = None
    last_name: PersonName | None = None
    enabled: bool | None = Field(None, description="True unless it is false.")
    password: Password | None = Field(None, description="Permanent; without one the user cannot log in.")


class UserChanges(BaseModel):
    """What to change of a user; what is left out or null stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"last_name": "King"}})

    email: Address | None = None
    username: UserName = None
    first_name: PersonName | None = Field(None, description="An empty text removes it.")
    last_name: PersonName | None = Field(None, description="An empty text removes it.")
    enabled: bool | None = None


class NewPassword(BaseModel):
    """A user's next password."""

    password: Password


class UserInfo(BaseModel):
    """A user. Roles, groups and flags are there when one user is read."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "6f1c8a52-6f5e-4b1c-9f7e-1f1a0c1f3c55",
                "username": "ada@example.org",
                "email": "ada@example.org",
                "firstName": "Ada",
                "lastName": "Lovelace",
                "enabled": True,
                "roles": ["user"],
                "groups": ["/standard"],
                "featureFlags": ["experimental_models"],
            }
        }
    )

    id: str
    username: str
    email: str
    first_name: str = Field(alias="firstName")
    last_name: str = Field(alias="lastName")
    enabled: bool
    roles: list[str] | None = Field(None, description="Realm roles, those that other roles bring included.")
    groups: list[str] | None = Field(None, description="Paths of groups.")
    feature_flags: list[str] | None = Field(
        None, alias="featureFlags", description="What these groups carry."
    )


class UserList(BaseModel):
    """A page of users."""

    data: list[UserInfo]


class Made(BaseModel):
    """Something new."""

    id: str


class NewGroup(BaseModel):
    """A wanted group."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "pilot_users"}})

    name: GroupName


class GroupChanges(BaseModel):
    """What to change of a group; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"attributes": {"team": ["research"]}}})

    name: GroupName | None = None
    attributes: dict[AttributeName, list[AttributeValue]] | None = Field(
        None, description="New values by name; an empty list removes one, attributes not named stay."
    )


class GroupInfo(BaseModel):
    """A group."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "0d8f2c6e-3f0e-4a44-9c2f-2d6f6a3a7a10",
                "name": "pilot_users",
                "path": "/pilot_users",
                "attributes": {"feature_flags": ["experimental_models"]},
            }
        }
    )

    id: str
    name: str
    path: str
    attributes: dict[str, list[str]] | None = None


class GroupList(BaseModel):
    """A page of groups."""

    data: list[GroupInfo]


def user_members(account: Account, rights: Rights | None = None) -> dict[str, Any]:
    """A user as it travels."""
    members: dict[str, Any] = {
        "id": account.id,
        "username": account.username,
        "email": account.email,
        "firstName": account.first_name,
        "lastName": account.last_name,
        "enabled": account.enabled,
    }
    if rights is not None:
        members["roles"] = list(rights.roles)
        members["groups"] = list(rights.groups)
        members["featureFlags"] = list(rights.feature_flags)
    return members


def group_members(group: Group) -> dict[str, Any]:
    """A group as it travels."""
    members: dict[str, Any] = {"id": group.id, "name": group.name, "path": group.path}
    if group.attributes:
        members["attributes"] = {name: list(values) for name, values in group.attributes.items()}
    return members
