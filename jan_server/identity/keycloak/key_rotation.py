"""Replacing the signing key of a realm on a Keycloak: it is published, then signs; the old one goes later.

Keycloak keeps no time at which a key stopped signing, so it is written into the name of its provider.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from jan_server.identity.key_rotation import RetiredKeys, longest_life
from jan_server.identity.keycloak.realm_server import RealmServer
from jan_server.identity.realm_file import KEY_PROVIDER

_SIGNING_PRIORITY = 200
_RETIRED = re.compile(r" \(retired (?P<moment>[^)]*)\)$")


def publish_key(server: RealmServer, component: Mapping[str, Any], kid: str) -> None:
    """Publish a key that does not sign yet; one that is there already stays as it is.

    Args:
        server: The realm.
        component: The key's provider, as the realm file describes it.
        kid: The key's id.

    Raises:
        RealmServerError: Keycloak refused.
    """
    if kid not in _published(server):
        _add(server, component, kid, active=False)


def use_key(server: RealmServer, component: Mapping[str, Any], kid: str) -> None:
    """Make a key the one that signs; the keys that signed before go on verifying.

    The new one begins before the others end: without any, Keycloak would make one of its own.

    Args:
        server: The realm.
        component: The key's provider, as the realm file describes it.
        kid: The key's id.

    Raises:
        RealmServerError: Keycloak refused.
    """
    if (provider := _published(server).get(kid)) is None:
        _add(server, component, kid, active=True)
        provider = _published(server)[kid]
    else:
        found = server.get(f"/components/{provider}")
        _change(server, found, _RETIRED.sub("", found["name"]), active=True, priority=str(_SIGNING_PRIORITY))
    for found in _signing_providers(server):
        if found["id"] != provider and found["config"].get("active", ["true"]) == ["true"]:
            _change(server, found, _retired_name(found["name"]), active=False)


def drop_retired_keys(server: RealmServer) -> RetiredKeys:
    """Remove keys that no living token can need any more.

    A key of which nobody knows when it stopped signing counts from now on.

    Raises:
        RealmServerError: Keycloak refused.
    """
    life = longest_life(server.get(""), server.get("/clients"))
    kids = {provider: kid for kid, provider in _published(server).items()}
    result = RetiredKeys()
    for found in _signing_providers(server):
        kid = kids.get(found["id"])
        if kid is None or found["config"].get("active", ["true"]) == ["true"]:
            continue
        retired = _retired_at(found["name"])
        if retired is None:
            _change(server, found, _retired_name(found["name"]), active=False)
            retired = datetime.now(UTC)
        if retired + life < datetime.now(UTC):
            server.delete(f"/components/{found['id']}")
            result.dropped.append(kid)
        else:
            result.needed[kid] = retired + life
    return result


def _published(server: RealmServer) -> dict[str, str]:
    """Ids of providers by the ids of their keys."""
    return {key["kid"]: key["providerId"] for key in server.get("/keys")["keys"] if key.get("kid")}


def _signing_providers(server: RealmServer) -> list[Mapping[str, Any]]:
    parent = server.get("")["id"]
    return [
        provider
        for provider in server.get("/components", parent=parent, type=KEY_PROVIDER)
        if provider["providerId"] in ("rsa", "rsa-generated") and "RS256" in _algorithm(provider)
    ]


def _algorithm(provider: Mapping[str, Any]) -> Sequence[str]:
    found: Sequence[str] = provider["config"].get("algorithm", ["RS256"])
    return found


def _add(server: RealmServer, component: Mapping[str, Any], kid: str, *, active: bool) -> None:
    config = {
        **component["config"],
        "priority": [str(_SIGNING_PRIORITY)],
        "active": ["true" if active else "false"],
    }
    server.post(
        "/components",
        {
            **component,
            "name": f"{component['name']}-{kid[:8]}",
            "providerType": KEY_PROVIDER,
            "parentId": server.get("")["id"],
            "config": config,
        },
    )


def _change(
    server: RealmServer, provider: Mapping[str, Any], name: str, *, active: bool, **config: str
) -> None:
    # The key itself is masked in what was read; Keycloak keeps it when the mask comes back.
    state = {"active": ["true" if active else "false"], "enabled": ["true"]}
    more = {key: [value] for key, value in config.items()}
    body = {**provider, "name": name, "config": {**provider["config"], **state, **more}}
    server.put(f"/components/{provider['id']}", body)


def _retired_name(name: str) -> str:
    return f"{_RETIRED.sub('', name)} (retired {datetime.now(UTC).isoformat(timespec='seconds')})"


def _retired_at(name: str) -> datetime | None:
    found = _RETIRED.search(name)
    try:
        moment = datetime.fromisoformat(found["moment"]) if found else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
