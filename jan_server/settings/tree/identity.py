"""The settings of identity: who issues tokens, with which keys, and how guests and log-ins are limited."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import SecretStr

from jan_server.settings.tree.fields import Duration, Port, Section, TextList, setting


class LoginLimit(Section):
    """How many failed log-ins are borne before the next ones wait."""

    attempts: int = setting(
        10,
        "Failed log-ins of one account after which its next ones wait; 0 switches the limit off.",
        "JAN_LOGIN_ATTEMPTS",
        ge=0,
    )
    address_attempts: int = setting(
        100,
        "Failed log-ins from one address within the window, after which its next ones are refused (429); "
        "0 switches the limit off. Processes on this machine are not limited.",
        "JAN_LOGIN_ADDRESS_ATTEMPTS",
        ge=0,
    )
    window: Duration = setting(
        timedelta(minutes=1), "Length of the window, and of the first wait.", "JAN_LOGIN_WINDOW"
    )


class Smtp(Section):
    """The mail server that carries what people get by e-mail; without one, no address is ever proved."""

    host: str = setting("", "Name or address of the mail server; empty: no mail is sent.", "JAN_SMTP_HOST")
    port: Port = setting(587, "Port of the mail server.", "JAN_SMTP_PORT")
    security: Literal["starttls", "tls", "none"] = setting(
        "starttls",
        "How the connection is protected: by STARTTLS (usual on 587), by TLS from the start (465), or not.",
        "JAN_SMTP_SECURITY",
    )
    user: str = setting("", "Name to log in with; empty: no log-in.", "JAN_SMTP_USER")
    password: SecretStr = setting(SecretStr(""), "Password to log in with.", "JAN_SMTP_PASSWORD")
    sender: str = setting("", "Address in From; empty: the name to log in with.", "JAN_SMTP_FROM")


class Identity(Section):
    """The issuer of tokens."""

    mode: Literal["embedded", "keycloak"] = setting(
        "embedded", "Who issues tokens: the issuer inside this process, or a Keycloak.", "JAN_IDENTITY_MODE"
    )
    http_port: Port = setting(
        8085,
        "Port of the embedded issuer.",
        "JAN_IDENTITY_PORT",
        "KEYCLOAK_HTTP_PORT",
        follows="{infrastructure.auth.keycloak.http_port}",
    )
    signing_key: SecretStr = setting(
        SecretStr(""),
        "Private RSA key of the application realm: PEM, base64, one line. Made by `jan quickstart`.",
        "JAN_REALM_SIGNING_KEY",
    )
    header_secret: SecretStr = setting(
        SecretStr(""),
        "Key that signs the internal X-Jan-Identity header between gateway and services.",
        "JAN_IDENTITY_SECRET",
    )
    application_admin_username: str = setting(
        "admin", "Name of the application realm's first administrator.", "JAN_ADMIN_USERNAME", min_length=1
    )
    application_admin_password: SecretStr = setting(
        SecretStr(""), "Password of the application realm's first administrator.", "JAN_ADMIN_PASSWORD"
    )
    redirect_uris: TextList = setting(
        (),
        "Further addresses to which a browser may be sent back after a log-in; a `*` at the end stands for "
        "anything.",
        "JAN_REDIRECT_URIS",
    )
    guest_ttl: Duration = setting(
        timedelta(days=30),
        "Guests that were never upgraded are removed when they were away for this time; 0s keeps them.",
        "JAN_GUEST_TTL",
    )
    login_limit: LoginLimit = LoginLimit()
    email_proof_ttl: Duration = setting(
        timedelta(hours=24),
        "How long the link works that proves an e-mail address.",
        "JAN_EMAIL_PROOF_TTL",
    )
    smtp: Smtp = Smtp()
