"""The two ways to replace the key that signs tokens: in the embedded issuer's database, and on Keycloak."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jan_cli.commands.identity_realm import administrator_of, realm_failures
from jan_cli.commands.identity_users import transfer_failures, with_realms
from jan_cli.configuration import existing_configuration, unusable
from jan_cli.console import CommandError, invocation, note, print_json, print_table

if TYPE_CHECKING:
    from jan_server.identity.key_rotation import RetiredKeys
    from jan_server.settings.tree import Settings

SIGNING_KEY = "identity.signing_key"


@dataclass(frozen=True, slots=True)
class Rotation:
    """How the issuer in use takes keys.

    Attributes:
        publish: Publishes a key that does not sign yet, and gives its id.
        use: Makes a published key the one that signs.
        drop: Removes keys that no token needs.
    """

    publish: Callable[[str], str]
    use: Callable[[str, str], None]
    drop: Callable[[], RetiredKeys]


def rotate_keys(
    context: typer.Context,
    drop_old: Annotated[
        bool,
        typer.Option("--drop-old", help="Make no key; remove those that no living token can need any more."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replace the key that signs tokens, without a refused request; the old one goes on verifying.

    The new key is published for some seconds before it signs. No restart is needed.

    Example: jan identity rotate-keys
    """
    home = invocation(context).home
    settings = existing_configuration(home).settings
    with realm_failures(), transfer_failures():
        rotation = (
            _on_keycloak(settings) if settings.identity.mode == "keycloak" else _embedded(context, settings)
        )
        if drop_old:
            _show_retired(rotation.drop(), as_json=as_json)
            return
        kid = _rotate(home, rotation)
    if as_json:
        print_json({"kid": kid})
        return
    typer.echo(f"{kid} signs from now on.")
    note("The key before it goes on verifying. In a few hours: jan identity rotate-keys --drop-old")


def _rotate(home: Path, rotation: Rotation) -> str:
    from jan_server.identity.key_rotation import SETTLE_SECONDS
    from jan_server.settings.changes import from_environment, set_value
    from jan_server.settings.errors import SettingsError
    from jan_server.settings.generated_secrets import signing_key
    from jan_server.settings.home import JanHome
    from jan_server.settings.loading import load_settings

    if from_environment(load_settings(home).provenance[SIGNING_KEY]):
        raise CommandError(
            "The signing key comes from the environment, which is not the command's to change.",
            "Put JAN_REALM_SIGNING_KEY into .env instead, and take it out of the environment.",
        )
    key = signing_key()
    kid = rotation.publish(key)
    note(f"{kid} is published; it signs in {SETTLE_SECONDS:g} s, when everybody has seen it.")
    time.sleep(SETTLE_SECONDS)
    try:
        # Before it signs: what starts from now on starts with the key that is about to sign.
        changed = set_value(JanHome(home), SIGNING_KEY, key)
    except SettingsError as error:
        raise unusable(error) from None
    except OSError as error:
        raise CommandError(
            f"{JanHome(home).env_file} cannot be written: {error.strerror or error}."
        ) from error
    note(f"Wrote it to {changed.file}.")
    rotation.use(key, kid)
    return kid


def _embedded(context: typer.Context, settings: Settings) -> Rotation:
    from jan_server.identity import key_rotation

    name = settings.infrastructure.auth.keycloak.realm
    return Rotation(
        publish=lambda key: with_realms(
            context, settings, lambda realms: key_rotation.publish_key(realms, name, key)
        ),
        use=lambda _, kid: with_realms(
            context, settings, lambda realms: key_rotation.sign_with(realms, name, kid)
        ),
        drop=lambda: with_realms(
            context, settings, lambda realms: key_rotation.drop_retired_keys(realms, name)
        ),
    )


def _on_keycloak(settings: Settings) -> Rotation:
    from jan_server.identity.keycloak import key_rotation
    from jan_server.identity.keycloak.realm_server import RealmServer
    from jan_server.identity.keys import key_id, read_private_key
    from jan_server.identity.realm_file import signing_key_provider

    server = RealmServer(administrator_of(settings), settings.infrastructure.auth.keycloak.realm)

    def publish(key: str) -> str:
        kid = key_id(read_private_key(key).public_key())
        key_rotation.publish_key(server, signing_key_provider(settings, key), kid)
        return kid

    def use(key: str, kid: str) -> None:
        key_rotation.use_key(server, signing_key_provider(settings, key), kid)

    return Rotation(publish, use, lambda: key_rotation.drop_retired_keys(server))


def _show_retired(keys: RetiredKeys, *, as_json: bool) -> None:
    if as_json:
        print_json({"dropped": keys.dropped, "needed": keys.needed})
        return
    rows = [(kid, "removed", "") for kid in keys.dropped]
    rows += [(kid, "kept", f"{until:%Y-%m-%d %H:%M} UTC") for kid, until in keys.needed.items()]
    if rows:
        print_table(("KEY", "WHAT", "NEEDED UNTIL"), rows)
    else:
        typer.echo("There is no old key.")
