"""The catalogue: every part of the stack, once. Nothing else lists services, ports or health paths."""

from __future__ import annotations

from difflib import get_close_matches

from jan_server.stack.service import Child, Part, Service

POSTGRES = Child(
    name="postgres",
    description="PostgreSQL, embedded: every service's data.",
    settings="infrastructure.database",
)

INFERENCE = Child(
    name="inference",
    description="The inference engine: llama.cpp's server and its model.",
    settings="inference",
    port_setting="inference.llamacpp.port",
    health_path="/health",
)

IDENTITY = Service(
    name="identity",
    description="OpenID issuer and user directory, speaking Keycloak's protocol.",
    settings="identity",
    port_setting="identity.http_port",
    health_path="/health/ready",
    app="jan_server.identity.app:create_app",
    needs=("postgres",),
    schema="identity",
    public=True,
)

LLM_API = Service(
    name="llm-api",
    description="Models, chat completions, conversations, accounts and API keys.",
    settings="services.llm_api",
    port_setting="services.llm_api.http_port",
    health_path="/healthz",
    app="jan_server.services.llm_api.app:create_app",
    needs=("postgres", "identity"),
    log_setting="services.llm_api.log_level",
    schema="llm_api",
)

MCP_TOOLS = Service(
    name="mcp-tools",
    description="Tools for models over MCP: search, scrape, files, code, memory, images.",
    settings="services.mcp_tools",
    port_setting="services.mcp_tools.http_port",
    health_path="/healthz",
    app="jan_server.services.mcp_tools.app:create_app",
    needs=("postgres", "identity", "llm-api"),
    log_setting="services.mcp_tools.log_level",
    schema="mcp_tools",
)

RESPONSE_API = Service(
    name="response-api",
    description="OpenAI's Responses: answers in many steps, with tools, in the background too.",
    settings="services.response_api",
    port_setting="services.response_api.http_port",
    health_path="/healthz",
    app="jan_server.services.response_api.app:create_app",
    needs=("postgres", "identity", "llm-api", "mcp-tools"),
    log_setting="services.response_api.log_level",
    schema="response_api",
    websockets=True,
)

GATEWAY = Service(
    name="gateway",
    description="The front door: routes, authentication, rate limits.",
    settings="infrastructure.gateway",
    port_setting="infrastructure.gateway.kong.http_port",
    health_path="/healthz",
    app="jan_server.gateway.app:create_app",
    needs=("identity", "llm-api", "mcp-tools", "response-api"),
    log_setting="infrastructure.gateway.kong.log_level",
    public=True,
    websockets=True,
    fronts=True,
)

PARTS: tuple[Part, ...] = (POSTGRES, IDENTITY, INFERENCE, LLM_API, MCP_TOOLS, RESPONSE_API, GATEWAY)
"""Every part, in the order in which people read them."""


class UnknownPartError(ValueError):
    """Names a service that the catalogue does not have, and the nearest that it has."""


def names() -> tuple[str, ...]:
    """The names of all parts."""
    return tuple(part.name for part in PARTS)


def find(name: str) -> Part:
    """The part of that name.

    Raises:
        UnknownPartError: There is none.
    """
    for part in PARTS:
        if part.name == name:
            return part
    nearest = get_close_matches(name, names(), 1, 0.5)
    hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(names())}."
    raise UnknownPartError(f"There is no service {name!r}; {hint}")
