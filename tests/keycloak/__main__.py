"""`python -m tests.keycloak [pytest options]`: the suite's identity tests against a real Keycloak.

The Keycloak is one that `jan up` runs, with its data in an embedded PostgreSQL, as users have it. Each group
of tests makes the realm anew. The distribution is that of KEYCLOAK_HOME, else one kept in `keycloak/`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from jan_server.identity.keycloak.distribution import (
    DistributionError,
    build,
    build_options,
    find_distribution,
)
from jan_server.identity.keycloak.installation import install
from jan_server.identity.keycloak.java import JavaMissingError, find_java
from jan_server.launch.database import database_url
from jan_server.settings.tree.infrastructure import KeycloakSettings
from tests.gateway.serving import free_port
from tests.running_stack import StackHome, free_ports, own_folder, stop

SUPERVISED = "JAN_TEST_KEYCLOAK_SUPERVISED"
"""Set for the tests, because the server starts the Keycloak again when one of them kills it."""

ROOT = Path(__file__).parents[2]
GROUPS = (
    ("the issuer's protocol and admin API", ["tests/identity/protocol"]),
    ("setting a realm up, and moving users", ["tests/keycloak"]),
    (
        "log-in, accounts and keys of the LLM API",
        [
            f"tests/services/llm_api/test_{name}.py"
            for name in ("auth_guest", "auth_guest_removal", "auth_login", "auth_tokens", "auth_upgrade",
                         "auth_email_proof", "auth_credentials", "admin_users", "admin_groups", "api_keys",
                         "feature_flags")
        ],
    ),
    (
        "tokens and keys at the gateway",
        [
            f"tests/services/llm_api/through_gateway/test_{name}.py"
            for name in ("access", "auth", "api_keys", "ownership", "users")
        ],
    ),
    ("the platform as clients meet it", [
        f"tests/end_to_end/test_{name}.py" for name in ("client_tour", "openai_client", "forged_identity")
    ]),
)  # fmt: skip
START_SECONDS = 500
FAILED = 1
"""The exit code of pytest where tests failed."""

UNAVAILABLE = 77
"""The exit code where a Keycloak cannot be had here; the reason stands on the last line."""


def main(options: list[str]) -> int:
    """Start a Keycloak, run the groups, stop it; the worst exit code counts."""
    settings = KeycloakSettings(home=os.environ.get("KEYCLOAK_HOME", ""))
    try:
        java = find_java()
        if not settings.home:
            install(ROOT, settings.version)
        found = find_distribution(settings, ROOT)
        build(found, java, build_options(settings))
    except (DistributionError, JavaMissingError) as failure:
        say(f"no Keycloak here: {failure}")
        return UNAVAILABLE
    say(f"Keycloak {found.version}, Java {java.version}")
    with own_folder() as folder:
        stack = StackHome(
            folder / "home",
            free_ports(),
            {
                "KEYCLOAK_HOME": str(found.folder),
                "KEYCLOAK_MANAGEMENT_PORT": str(free_port()),
                "KEYCLOAK_DATABASE_PORT": str(free_port()),
                "JAN__SERVER__PUBLIC_HOST": "localhost",
            },
        )
        stack.must("quickstart", "--yes", "--identity", "keycloak")
        try:
            stack.must("up", "-d", "--timeout", str(START_SECONDS), "identity", seconds=START_SECONDS + 60)
            return max(_run(stack, title, paths, options) for title, paths in GROUPS)
        finally:
            stop(stack)


def say(text: str) -> None:
    """Tell at once what goes on."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _run(stack: StackHome, title: str, paths: list[str], options: list[str]) -> int:
    say(f"\n== {title}")
    password = stack.must("config", "get", "KEYCLOAK_ADMIN_PASSWORD", "--reveal").strip()
    environment = {
        **os.environ,
        "JAN_TEST_KEYCLOAK_URL": f"http://localhost:{stack.ports['identity']}",
        "JAN_TEST_KEYCLOAK_ADMIN_PASSWORD": password,
        SUPERVISED: "1",
        "JAN_TEST_KEYCLOAK_DATABASE_URL": database_url(stack.settings(), stack.home, superuser=True),
    }
    command = [sys.executable, "-m", "pytest", "-q", *options, *paths]
    code = subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode
    if code != FAILED:
        return code
    # A Java machine beside two busy cores now and then answers later than a test waits: only what fails
    # twice counts, and the first failure stays in the output.
    say("once more, those that failed")
    again = [*command, "--last-failed", "--last-failed-no-failures", "none"]
    return subprocess.run(again, env=environment, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
