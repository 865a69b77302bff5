"""The users of a Keycloak, read from its PostgreSQL: its admin API never shows hashed passwords.

The tables are those of Keycloak 24 to 26; columns that a version lacks read as nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from jan_server.identity.transfer.users_file import UsersFile, is_guest

_Row = Mapping[str, Any]


class KeycloakTablesError(RuntimeError):
    """The database holds no such Keycloak; the message says what is missing."""


def export_users(url: str, name: str, *, guests: bool = True) -> UsersFile:
    """Read the users of a realm with their hashed credentials, in one snapshot.

    Args:
        url: The libpq URL of Keycloak's database.
        name: The realm's name.
        guests: Whether guests are among them.

    Raises:
        KeycloakTablesError: There is no Keycloak in the database, or no such realm.
        psycopg.Error: The database refused.
    """
    with psycopg.connect(url, row_factory=dict_row, connect_timeout=10) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        schema = _schema(connection)
        connection.execute(sql.SQL("set local search_path to {}").format(sql.Identifier(schema)))
        realm = connection.execute("select id from realm where name = %s", [name]).fetchone()
        if realm is None:
            raise KeycloakTablesError(f"the Keycloak in this database has no realm {name}")
        return _read(connection, realm["id"], name, guests=guests)


def _schema(connection: psycopg.Connection[dict[str, Any]]) -> str:
    found = connection.execute(
        # The URL may name a schema of its own: `?options=-csearch_path%3Dname`.
        "select table_schema from information_schema.tables where table_name = 'user_entity' order by "
        "array_position(current_schemas(false), table_schema::name), table_schema <> 'keycloak' limit 1"
    ).fetchone()
    if found is None:
        raise KeycloakTablesError(
            "this database holds no tables of a Keycloak that its role can read; "
            "name Keycloak's database with --database-url"
        )
    return str(found["table_schema"])


@dataclass(slots=True)
class _Roles:
    """Roles as users and groups have them: those of the realm by name, those of clients by client."""

    realm: list[str] = field(default_factory=list)
    clients: dict[str, list[str]] = field(default_factory=dict)

    def members(self) -> dict[str, Any]:
        return {"realmRoles": sorted(self.realm), "clientRoles": self.clients}


# Rows as JSON where columns differ from version to version: one that is lacking has no value there.
_STATEMENTS: Mapping[str, LiteralString] = {
    "users": "select to_jsonb(u) as row from user_entity u where u.realm_id = %(realm)s "
    "and u.service_account_client_link is null order by u.created_timestamp, u.id",
    "user attributes": "select a.user_id as id, to_jsonb(a) as row from user_attribute a "
    "join user_entity u on u.id = a.user_id where u.realm_id = %(realm)s order by a.id",
    "actions": "select a.user_id as id, a.required_action as value from user_required_action a "
    "join user_entity u on u.id = a.user_id where u.realm_id = %(realm)s order by a.required_action",
    "credentials": "select c.user_id as id, to_jsonb(c) as row from credential c "
    "join user_entity u on u.id = c.user_id where u.realm_id = %(realm)s order by c.priority, c.id",
    "memberships": "select m.user_id as id, m.group_id as value from user_group_membership m "
    "join user_entity u on u.id = m.user_id where u.realm_id = %(realm)s",
    "user roles": "select m.user_id as id, m.role_id from user_role_mapping m "
    "join user_entity u on u.id = m.user_id where u.realm_id = %(realm)s",
    "groups": "select to_jsonb(g) as row from keycloak_group g where g.realm_id = %(realm)s order by g.name",
    "group attributes": "select a.group_id as id, to_jsonb(a) as row from group_attribute a "
    "join keycloak_group g on g.id = a.group_id where g.realm_id = %(realm)s order by a.id",
    "group roles": "select m.group_id as id, m.role_id from group_role_mapping m "
    "join keycloak_group g on g.id = m.group_id where g.realm_id = %(realm)s",
    "roles": "select r.id, r.name, r.description, r.client_role, c.client_id from keycloak_role r "
    "left join client c on c.id = r.client where r.realm_id = %(realm)s order by r.name",
    "role attributes": "select a.role_id as id, to_jsonb(a) as row from role_attribute a "
    "join keycloak_role r on r.id = a.role_id where r.realm_id = %(realm)s order by a.id",
    "composites": "select m.composite as id, m.child_role as role_id from composite_role m "
    "join keycloak_role r on r.id = m.composite where r.realm_id = %(realm)s",
}


def _read(
    connection: psycopg.Connection[dict[str, Any]], realm: str, name: str, *, guests: bool
) -> UsersFile:
    rows = {
        what: connection.execute(statement, {"realm": realm}).fetchall()
        for what, statement in _STATEMENTS.items()
    }
    roles = {row["id"]: row for row in rows["roles"]}
    # Groups of another type belong to organizations.
    groups = _Groups(
        [found["row"] for found in rows["groups"] if not found["row"].get("type")],
        _attributes(rows["group attributes"]),
        _held(roles, rows["group roles"]),
    )
    users = [user for user in _users(rows, roles, groups) if guests or not is_guest(user)]
    attributes, composites = _attributes(rows["role attributes"]), _held(roles, rows["composites"])
    return UsersFile(
        realm=name,
        users=users,
        groups=groups.below(None),
        roles=[
            _role(row, attributes.get(row["id"], {}), composites.get(row["id"]))
            for row in roles.values()
            if not row["client_role"]
        ],
    )


def _users(
    rows: Mapping[str, Sequence[_Row]], roles: Mapping[str, _Row], groups: _Groups
) -> Iterator[dict[str, Any]]:
    attributes, held = _attributes(rows["user attributes"]), _held(roles, rows["user roles"])
    actions, memberships = _grouped(rows["actions"]), _grouped(rows["memberships"])
    credentials: dict[str, list[dict[str, Any]]] = {}
    for found in rows["credentials"]:
        credentials.setdefault(found["id"], []).append(_credential(found["row"]))
    for row in (found["row"] for found in rows["users"]):
        paths = (groups.paths.get(group) for group in memberships.get(row["id"], ()))
        yield {
            **_person(row),
            "attributes": attributes.get(row["id"], {}),
            "requiredActions": actions.get(row["id"], []),
            "credentials": credentials.get(row["id"], []),
            **held.get(row["id"], _Roles()).members(),
            "groups": sorted(path for path in paths if path),
        }


def _person(row: _Row) -> dict[str, Any]:
    texts = {
        "username": row["username"],
        "firstName": row["first_name"],
        "lastName": row["last_name"],
        "email": row["email"],
    }
    return {
        "id": row["id"],
        **{member: text for member, text in texts.items() if text is not None},
        "emailVerified": row["email_verified"],
        "enabled": row["enabled"],
        "createdTimestamp": row["created_timestamp"],
        "notBefore": row["not_before"],
    }


def _credential(row: _Row) -> dict[str, Any]:
    label = {"userLabel": row["user_label"]} if row["user_label"] else {}
    return {
        "id": row["id"],
        "type": row["type"],
        **label,
        "createdDate": row["created_date"],
        "credentialData": row["credential_data"],
        "secretData": row["secret_data"],
    }


def _role(row: _Row, attributes: Mapping[str, Any], brings: _Roles | None) -> dict[str, Any]:
    described = {"description": row["description"]} if row["description"] else {}
    composites = {"realm": sorted(brings.realm), "client": brings.clients} if brings else {}
    composite = {"composite": True, "composites": composites} if brings else {}
    return {"name": row["name"], **described, "attributes": attributes, **composite}


def _attributes(rows: Iterable[_Row]) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    for owner, row in ((each["id"], each["row"]) for each in rows):
        # Texts of more than 255 characters stand in a column of their own.
        text = row.get("long_value") if row["value"] is None else row["value"]
        if text is not None:
            found.setdefault(owner, {}).setdefault(row["name"], []).append(text)
    return found


def _grouped(rows: Iterable[_Row]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["id"], []).append(row["value"])
    return found


def _held(roles: Mapping[str, _Row], rows: Iterable[_Row]) -> dict[str, _Roles]:
    found: dict[str, _Roles] = {}
    for row in rows:
        role, holder = roles.get(row["role_id"]), found.setdefault(row["id"], _Roles())
        if role is not None and role["client_role"]:
            holder.clients.setdefault(role["client_id"], []).append(role["name"])
        elif role is not None:
            holder.realm.append(role["name"])
    return found


class _Groups:
    """The groups of a realm, as trees and by their paths."""

    def __init__(
        self,
        rows: Iterable[_Row],
        attributes: Mapping[str, Mapping[str, list[str]]],
        roles: Mapping[str, _Roles],
    ) -> None:
        self.paths: dict[str, str] = {}
        self._attributes, self._roles = attributes, roles
        self._children: dict[str | None, list[_Row]] = {}
        for row in rows:
            # At the top, Keycloak keeps a blank in the place of a parent.
            parent = (row["parent_group"] or "").strip() or None
            self._children.setdefault(parent, []).append(row)
        self._name(None, "")

    def _name(self, parent: str | None, above: str) -> None:
        for row in self._children.get(parent, ()):
            self.paths[row["id"]] = f"{above}/{row['name']}"
            self._name(row["id"], self.paths[row["id"]])

    def below(self, parent: str | None) -> list[dict[str, Any]]:
        """The trees of groups below one; None stands for the top."""
        return [
            {
                "name": row["name"],
                "path": self.paths[row["id"]],
                "attributes": self._attributes.get(row["id"], {}),
                **self._roles.get(row["id"], _Roles()).members(),
                "subGroups": self.below(row["id"]),
            }
            for row in self._children.get(parent, ())
        ]
