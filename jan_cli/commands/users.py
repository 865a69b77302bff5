"""`jan users`: the users of the platform, their roles and their groups."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import typer

from jan_cli.admin_api import AdminApi, admin_api
from jan_cli.console import CommandError, confirm_or_decline, note, print_json, print_table
from jan_cli.options import AsJson, Yes, some_change
from jan_cli.secret_input import asked_secret

app = typer.Typer(
    name="users",
    help="Keep the platform's users, their roles and their groups. The platform has to run.",
    epilog="Example: jan users create ada@example.org --role user",
    no_args_is_help=True,
)
role_app = typer.Typer(name="role", help="Give and take roles.", no_args_is_help=True)
group_app = typer.Typer(name="group", help="Put users into groups and take them out.", no_args_is_help=True)
app.add_typer(role_app)
app.add_typer(group_app)

User = Annotated[str, typer.Argument(metavar="USER", help="An e-mail address, a username or an id.")]
FirstName = Annotated[str | None, typer.Option("--first-name", help="The first name.")]
LastName = Annotated[str | None, typer.Option("--last-name", help="The last name.")]
Role = Annotated[str, typer.Argument(metavar="ROLE", help="A role of the realm, such as admin or user.")]
Group = Annotated[str, typer.Argument(metavar="GROUP", help="A group's name, path or id.")]

GROUPS_A_CALL = 200


@app.command("list")
def list_users(
    context: typer.Context,
    search: Annotated[str | None, typer.Option(help="The beginning of a name or an address.")] = None,
    role: Annotated[str | None, typer.Option(help="Only users who were given this role.")] = None,
    group: Annotated[str | None, typer.Option(help="Only members of this group.")] = None,
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="Only active users, or only inactive ones.")
    ] = None,
    guests: Annotated[bool, typer.Option("--guests/--no-guests", help="Whether guests are shown.")] = True,
    first: Annotated[int, typer.Option(min=0, help="How many to skip.")] = 0,
    maximum: Annotated[int, typer.Option("--max", min=1, help="How many to show at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show users by name.

    Example: jan users list --no-guests --role admin
    """
    api = admin_api(context)
    query = {
        "search": search,
        "role": role,
        "group_id": None if group is None else find_group(api, group)["id"],
        "enabled": active,
        "exclude_guests": not guests,
        "first": first,
        "max": maximum,
    }
    users = api.call("GET", "users", query=query)["data"]
    if as_json:
        print_json(users)
        return
    print_table(
        ("USER", "NAME", "STATE", "ID"),
        [(label(user), name(user), state(user), user["id"]) for user in users],
    )
    if len(users) == maximum:
        note(f"There may be more: jan users list --first {first + maximum}")


@app.command("create")
def create(
    context: typer.Context,
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The address, which is the username too.")],
    first_name: FirstName = None,
    last_name: LastName = None,
    roles: Annotated[list[str] | None, typer.Option("--role", help="A role; repeat it for more.")] = None,
    groups: Annotated[list[str] | None, typer.Option("--group", help="A group; repeat it for more.")] = None,
    inactive: Annotated[bool, typer.Option("--inactive", help="The user may not log in yet.")] = False,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Ask for no password; the user cannot log in without one.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a user. The password is asked for, or read from standard input.

    Example: jan users create ada@example.org --first-name Ada --role user
    """
    api = admin_api(context)
    joined = [find_group(api, group)["id"] for group in groups or ()]
    body = {"email": email, "first_name": first_name, "last_name": last_name, "enabled": not inactive}
    if not no_password:
        body["password"] = asked_secret(f"Password of {email}", twice=True)
    user_id = api.call("POST", "users", body=body)["id"]
    try:
        for role in roles or ():
            api.call("POST", "users", user_id, "roles", role)
        for group_id in joined:
            api.call("POST", "users", user_id, "groups", group_id)
    except CommandError as failure:
        raise CommandError(f"{email} was made, but: {failure.message}", failure.remedy) from failure
    report(api, user_id, as_json, f"{email} was made.")


@app.command("show")
def show(context: typer.Context, user: User, as_json: AsJson = False) -> None:
    """Show one user with its roles, groups and feature flags.

    Example: jan users show ada@example.org
    """
    api = admin_api(context)
    found = api.call("GET", "users", find_user(api, user)["id"])
    if as_json:
        print_json(found)
        return
    print_table(
        ("MEMBER", "VALUE"),
        [
            ("id", found["id"]),
            ("username", found["username"]),
            ("e-mail", found["email"]),
            ("name", name(found)),
            ("state", state(found)),
            ("roles", ", ".join(found["roles"])),
            ("groups", ", ".join(found["groups"])),
            ("feature flags", ", ".join(found["featureFlags"])),
        ],
    )


@app.command("update")
def update(
    context: typer.Context,
    user: User,
    email: Annotated[
        str | None, typer.Option(help="The new address, which becomes the username too.")
    ] = None,
    first_name: FirstName = None,
    last_name: LastName = None,
    as_json: AsJson = False,
) -> None:
    """Change a user; what is not given stays.

    Example: jan users update ada@example.org --last-name King
    """
    given = {"email": email, "first_name": first_name, "last_name": last_name}
    changes: dict[str, object] = {member: value for member, value in given.items() if value is not None}
    some_change(changes, "jan users update")
    api = admin_api(context)
    found = find_user(api, user)
    api.call("PATCH", "users", found["id"], body=changes)
    report(api, found["id"], as_json, f"{label(found)} was changed.")


@app.command("delete")
def delete(
    context: typer.Context,
    user: User,
    yes: Yes = False,
) -> None:
    """Remove a user with its keys, conversations and projects, for good.

    Example: jan users delete ada@example.org --yes
    """
    api = admin_api(context)
    found = find_user(api, user)
    question = f"Remove {label(found)} with all keys, conversations and projects?"
    confirm_or_decline(question, yes=yes, declined="Nobody was removed.")
    api.call("DELETE", "users", found["id"])
    note(f"{label(found)} was removed.")


@app.command("activate")
def activate(context: typer.Context, user: User, as_json: AsJson = False) -> None:
    """Let a user in again.

    Example: jan users activate ada@example.org
    """
    _act(context, user, as_json, "POST", "activate", done="is active.")


@app.command("deactivate")
def deactivate(context: typer.Context, user: User, as_json: AsJson = False) -> None:
    """Lock a user out: sessions end, keys are refused.

    Example: jan users deactivate ada@example.org
    """
    _act(context, user, as_json, "POST", "deactivate", done="is locked out.")


@app.command("password")
def password(context: typer.Context, user: User) -> None:
    """Give a user another password. It is asked for, or read from standard input.

    Example: jan users password ada@example.org
    """
    api = admin_api(context)
    found = find_user(api, user)
    body = {"password": asked_secret(f"Password of {label(found)}", twice=True)}
    api.call("PUT", "users", found["id"], "password", body=body)
    note(f"{label(found)} has another password.")


@role_app.command("add")
def add_role(context: typer.Context, user: User, role: Role, as_json: AsJson = False) -> None:
    """Give a user a role; it is in the user's next token.

    Example: jan users role add ada@example.org admin
    """
    _act(context, user, as_json, "POST", "roles", role, done=f"has the role {role}.")


@role_app.command("remove")
def remove_role(context: typer.Context, user: User, role: Role, as_json: AsJson = False) -> None:
    """Take a role from a user.

    Example: jan users role remove ada@example.org admin
    """
    _act(context, user, as_json, "DELETE", "roles", role, done=f"had the role {role} taken away.")


@group_app.command("add")
def join_group(context: typer.Context, user: User, group: Group, as_json: AsJson = False) -> None:
    """Put a user into a group; its feature flags are in the user's next token.

    Example: jan users group add ada@example.org pilot_users
    """
    _change_group(context, user, group, as_json, "POST", "is in the group")


@group_app.command("remove")
def leave_group(context: typer.Context, user: User, group: Group, as_json: AsJson = False) -> None:
    """Take a user out of a group.

    Example: jan users group remove ada@example.org pilot_users
    """
    _change_group(context, user, group, as_json, "DELETE", "is not in the group")


def _act(context: typer.Context, user: str, as_json: bool, method: str, *below: str, done: str) -> None:
    api = admin_api(context)
    found = find_user(api, user)
    api.call(method, "users", found["id"], *below)
    report(api, found["id"], as_json, f"{label(found)} {done}")


def _change_group(
    context: typer.Context, user: str, group: str, as_json: bool, method: str, done: str
) -> None:
    api = admin_api(context)
    found, wanted = find_user(api, user), find_group(api, group)
    api.call(method, "users", found["id"], "groups", wanted["id"])
    report(api, found["id"], as_json, f"{label(found)} {done} {wanted['name']}.")


def find_user(api: AdminApi, wanted: str) -> dict[str, Any]:
    """The user with this id, e-mail address or username.

    Raises:
        CommandError: There is none.
    """
    if is_id(wanted):
        return dict(api.call("GET", "users", wanted))
    for user in api.call("GET", "users", query={"search": wanted, "max": 100})["data"]:
        if wanted.lower() in (user["email"].lower(), user["username"].lower()):
            return dict(user)
    raise CommandError(f"There is no user {wanted!r}.", "See: jan users list --search …")


def find_group(api: AdminApi, wanted: str) -> dict[str, Any]:
    """The group with this id, name or path.

    Raises:
        CommandError: There is none.
    """
    if is_id(wanted):
        return dict(api.call("GET", "groups", wanted))
    first, names = 0, []
    while page := api.call("GET", "groups", query={"first": first, "max": GROUPS_A_CALL})["data"]:
        for group in page:
            if wanted in (group["name"], group["path"]):
                return dict(group)
            names.append(group["name"])
        first += len(page)
    raise CommandError(f"There is no group {wanted!r}.", f"The groups are: {', '.join(names)}")


def is_id(text: str) -> bool:
    """Whether a text is an id of the identity server."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def report(api: AdminApi, user_id: str, as_json: bool, done: str) -> None:
    """Say what was done, or print the user as it is now."""
    if as_json:
        print_json(api.call("GET", "users", user_id))
    else:
        note(done)


def label(user: dict[str, Any]) -> str:
    """What a user is called in a line of text."""
    return str(user["email"] or user["username"])


def name(user: dict[str, Any]) -> str:
    """First and last name."""
    return f"{user['firstName']} {user['lastName']}".strip()


def state(user: dict[str, Any]) -> str:
    """Whether a user may log in."""
    return "active" if user["enabled"] else "inactive"
