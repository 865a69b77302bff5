"""What the two servers answer differently on purpose, and why: the table of docs/identity.md, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LEFT_OUT = "<members that only Keycloak has>"
"""Stands for all rows that Keycloak's answer has and the embedded issuer's lacks; at least one."""


@dataclass(frozen=True)
class Difference:
    """One row of the table.

    Attributes:
        situation: What is asked.
        keycloak: Keycloak's answer.
        embedded: The embedded issuer's answer.
        reason: Why it is another one.
        rows: Which rows of the answers differ, by the name of the case.
        elsewhere: Why no request of the comparison shows it; empty where one does.
    """

    situation: str
    keycloak: str
    embedded: str
    reason: str
    rows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    elsewhere: str = ""

    def line(self) -> str:
        """The row as docs/identity.md shows it."""
        return f"| {self.situation} | {self.keycloak} | {self.embedded} | {self.reason} |"


_STATUS = ("status", "error")
_REFUSED = ("status", "error", "error_description")
_PROFILE = {
    f"admin: users, {name}": (LEFT_OUT,)
    for name in (
        "by address",
        "by address, exactly",
        "by a part of the address",
        "by name",
        "by first name",
        "by last name",
        "by search",
        "by exact search",
        "by attribute",
        "enabled",
        "verified",
        "one",
        "a negative number",
    )
}
_DISCOVERY = (
    LEFT_OUT,
    "acr_values_supported[]",
    "claims_parameter_supported",
    "grant_types_supported[]",
    "id_token_signing_alg_values_supported[]",
    "introspection_endpoint_auth_methods_supported[]",
    "prompt_values_supported[]",
    "request_parameter_supported",
    "request_uri_parameter_supported",
    "response_modes_supported[]",
    "response_types_supported[]",
    "revocation_endpoint_auth_methods_supported[]",
    "subject_types_supported[]",
    "token_endpoint_auth_methods_supported[]",
)
_ROLES_IN_TOKEN = tuple(
    f"access_token.{name}"
    for name in (
        "acr",
        "aud",
        "email_verified",
        "preferred_username",
        "realm_access",
        "realm_access.roles",
        "realm_access.roles[]",
        "resource_access",
        "resource_access.account",
        "resource_access.account.roles",
        "resource_access.account.roles[]",
        "sub",
    )
)
_PERSON_IN_TOKEN = (
    *(f"access_token.{name}" for name in ("email", "family_name", "given_name", "name", "picture", "scope")),
    "scope",
)

DELIBERATE = (
    Difference(
        "Disabled account, wrong password",
        "400 `Account disabled`",
        "401 `Invalid user credentials`",
        "only the right password tells the state of an account",
        {"password grant: a disabled user and a wrong password": ("status", "error_description")},
    ),
    Difference(
        "Account that waits after wrong passwords",
        "`Invalid user credentials`",
        "`Account temporarily disabled, …`",
        "people learn why the right password does not open; an unknown name gets the same",
        {"password grant: a user that has to wait": ("error_description",)},
    ),
    Difference(
        "Too many failures from one address",
        "no such limit",
        "429 with `Retry-After`",
        "one address cannot try many accounts",
        elsewhere="tests/identity/embedded/test_login_limits.py: this machine itself is never limited",
    ),
    Difference(
        "Empty `scope` parameter",
        "400 `invalid_scope`",
        "as if it were left out",
        "RFC 6749, section 3.1: parameters without a value count as left out",
        {
            "password grant: an empty scope": _REFUSED,
            "refresh: an empty scope": _REFUSED,
        },
    ),
    Difference(
        "Disabling a user",
        "its refresh tokens are refused: `User disabled`",
        "its sessions end: `Session not active`",
        "enabled again, nobody is still logged in from before",
        {"refresh: of a disabled user": ("error_description",)},
    ),
    Difference(
        "Userinfo with a token whose session or user is gone",
        "401 `invalid_token`: `user_session_not_found`, `User disabled`",
        "401 `invalid_token`: `Token verification failed`",
        "a stranger with an old token learns nothing of the account",
        {
            "userinfo: after a log-out": ("www-authenticate",),
            "userinfo: of a disabled user": ("www-authenticate",),
        },
    ),
    Difference(
        "A token without a signature (`alg: none`)",
        "500",
        "401",
        "a wrong token is the caller's fault",
        {
            "userinfo: an unsigned token": (*_REFUSED, "content-type", "www-authenticate", "body"),
            "admin: users for an unsigned token": _REFUSED,
        },
    ),
    Difference(
        "Introspection of a refresh token",
        "with the user's claims; active although it was used",
        "its own claims; not active once it was used",
        "RFC 7662: active means that it can be used",
        {
            "introspection: a refresh token": (LEFT_OUT, "aud"),
            "introspection: a used refresh token": (LEFT_OUT, "active"),
        },
    ),
    Difference(
        "Introspection of an id token",
        "active",
        "not active",
        "it opens nothing",
        {"introspection: an id token": (LEFT_OUT, "active")},
    ),
    Difference(
        "Access tokens of `admin-cli`",
        "lightweight, without roles and names",
        "with them",
        "one shape of token; the admin API reads rights from the database on both",
        {
            "master: a token": _ROLES_IN_TOKEN,
            "password grant: through admin-cli": (*_ROLES_IN_TOKEN, *_PERSON_IN_TOKEN),
        },
    ),
    Difference(
        "Log-out with the older `redirect_uri` and nothing else",
        "a page asks first",
        "back to that address, if a client registered it",
        "contract, section 1: accepted, and no page asks",
        {
            "log-out: the older parameter": (
                "status",
                "content-type",
                "location",
                "body",
            )
        },
    ),
    Difference(
        "Paths below `/auth`",
        "404",
        "like those without it",
        "contract, section 3; a Keycloak has them with `--http-relative-path=/auth` only",
        {
            "discovery, below /auth": _STATUS,
            "signing keys, below /auth": _STATUS,
            "realm, below /auth": _STATUS,
        },
    ),
    Difference(
        "A method that a path does not have",
        "404 for some paths, 405 for others",
        "405",
        "RFC 9110, section 15.5.6",
        {"discovery, posted": _STATUS, "admin: a user posted to": _STATUS},
    ),
    Difference(
        "`PUT users/{id}` with `attributes` and without `email` or names",
        "without `email` 400; names that are left out are removed",
        "they stay. Send them to be right on either",
        "contract, section 3: members left out stay as they are",
        {
            "admin: attributes without an address": ("status", "errorMessage", "field"),
            "admin: a user after a change: other attributes": ("firstName", "lastName"),
            "admin: a user after a change: no attributes": ("firstName", "lastName"),
        },
    ),
    Difference(
        "A page that is not a number (`first=a`)",
        "404",
        "400",
        "the path exists, the parameter is wrong",
        {"admin: users, no number": _STATUS, "admin: groups, no number": _STATUS},
    ),
    Difference(
        "A group that does not exist, in a new user",
        "500",
        "400 that names it",
        "a wrong member is the caller's fault",
        {
            "admin: a user in an unknown group": (*_REFUSED, "errorMessage", "field"),
        },
    ),
    Difference(
        "A member of another type (a number or a list as a name)",
        "a number is taken as text; a list is 400 `Cannot parse the JSON`",
        "400 that names the member",
        "no value is changed silently, and the caller learns which one is wrong",
        {
            "admin: a user with a number for a name": ("status", "errorMessage", "field"),
            "admin: a user with a list for a name": (
                "error",
                "error_description",
                "errorMessage",
                "field",
                "params",
                "params[]",
            ),
        },
    ),
    Difference(
        "`reset-password` with another type than `password`",
        "204",
        "400",
        "there are passwords only, and nothing would be kept",
        {"admin: a credential of another type": ("status", "errorMessage", "field")},
    ),
    Difference(
        "`userProfileMetadata` of users",
        "in lists, and with `userProfileMetadata=true`",
        "left out",
        "it describes the form of Keycloak's console",
        {**_PROFILE, "admin: a user with the profile": (LEFT_OUT,)},
    ),
    Difference(
        "`GET /admin/realms` and `/admin/realms/{realm}`",
        "also settings of what is not there here",
        "settings of the realm file",
        "no value stands for a feature that is missing",
        {"admin: the realm": (LEFT_OUT,), "admin: all realms": (LEFT_OUT,)},
    ),
    Difference(
        "Device grant, refresh tokens by token exchange, implicit flow, CIBA, PAR, SAML, identity brokering, "
        "consent, e-mail, one-time passwords, console",
        "there",
        "not there: `unsupported_grant_type`, or 404; discovery does not name them",
        "contract, section 3, does not need them",
        {"discovery": _DISCOVERY, "discovery, for a page": _DISCOVERY},
    ),
)
"""Every difference that is meant. One that vanished, or a new one, fails the comparison."""


def expected(case: str) -> frozenset[str]:
    """The rows that differ on purpose in the answers to a case."""
    return frozenset(row for difference in DELIBERATE for row in difference.rows.get(case, ()))
