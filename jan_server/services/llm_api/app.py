"""The LLM API as an ASGI app: its resources, its routers and their mirror below `/llm`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from jan_server.authentication.service_guard import service_guard
from jan_server.database.engine import Database
from jan_server.http.api_document import show_credentials, with_credentials
from jan_server.http.background import once_reachable, repeating
from jan_server.http.client_address import parse_networks
from jan_server.http.context import ServiceContext
from jan_server.http.edge import create_service_app
from jan_server.http.fast_route import Endpoint, add_fast_route
from jan_server.http.readiness import Readiness, database_probe
from jan_server.services.llm_api.accounts import Accounts
from jan_server.services.llm_api.api_document import install_document, introduction
from jan_server.services.llm_api.audit_trail import AuditTrail
from jan_server.services.llm_api.built_in_prompts import seed_prompts
from jan_server.services.llm_api.guests import GuestQuota, remove_idle_guests
from jan_server.services.llm_api.housekeeping import Job, row_jobs, run_jobs
from jan_server.services.llm_api.identity_availability import identity_probe
from jan_server.services.llm_api.identity_echo import IdentityEcho
from jan_server.services.llm_api.identity_server import IdentityAddress, IdentityServer
from jan_server.services.llm_api.key_check import KeyCheck
from jan_server.services.llm_api.mail import mailer_of
from jan_server.services.llm_api.mcp_tools import seed_tools
from jan_server.services.llm_api.metrics import RequestMetrics
from jan_server.services.llm_api.request_limit import RequestLimit
from jan_server.services.llm_api.resources import Resources
from jan_server.services.llm_api.routes import (
    api_keys,
    audio,
    audit_logs,
    auth,
    branches,
    chat,
    completions,
    conversations,
    email_proofs,
    embeddings,
    feature_flags,
    front_page,
    group_administration,
    health,
    images,
    items,
    key_administration,
    login,
    mcp_tools,
    messages,
    model_administration,
    model_prompt_templates,
    model_routes,
    models,
    moderations,
    projects,
    prompt_templates,
    providers,
    public_shares,
    rerank,
    revisions,
    shares,
    usage,
    user_administration,
    user_settings,
)
from jan_server.services.llm_api.routes.caller import ASKING
from jan_server.services.llm_api.routes.failures import install_failures
from jan_server.services.llm_api.serving import inference_probe, make_serving, open_serving
from jan_server.services.llm_api.share_views import ShareViews
from jan_server.services.llm_api.tables import now
from jan_server.services.llm_api.users import UserDirectory
from jan_server.settings.tree import Settings

MIRROR = "/llm"
"""Every `/auth/…` and every authenticated `/v1/…` route is served below this prefix too."""

RECORD_USES_SECONDS = 1.0
RECORD_VIEWS_SECONDS = 0.5
HOUSEKEEPING_SECONDS = 600.0
SEED_AGAIN_SECONDS = 1.0
"""How long to wait for PostgreSQL before the next try."""


def create_app(context: ServiceContext) -> ASGIApp:
    """The LLM API; its resources open and close with the app's lifespan."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        opened = open_resources(context)
        app.state.resources = opened
        app.state.guard = service_guard(context.settings, context.client, opened.key_check.principal)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(opened.database.dispose)
            stack.push_async_callback(opened.identity.availability.close)
            stack.push_async_callback(opened.key_check.record_uses)
            stack.push_async_callback(opened.share_views.record)
            await stack.enter_async_context(
                repeating("recording the use of keys", RECORD_USES_SECONDS, opened.key_check.record_uses)
            )
            await stack.enter_async_context(
                repeating("counting the views of shares", RECORD_VIEWS_SECONDS, opened.share_views.record)
            )
            await stack.enter_async_context(
                repeating(
                    "housekeeping", HOUSEKEEPING_SECONDS, lambda: run_jobs(opened.database, jobs(opened))
                )
            )
            await stack.enter_async_context(
                once_reachable("writing prompts and tools", SEED_AGAIN_SECONDS, lambda: seed(opened.database))
            )
            await stack.enter_async_context(
                open_serving(opened.serving, opened.settings, opened.database, context.home)
            )
            yield

    app = create_service_app(
        "llm-api",
        title="Jan Server: LLM API",
        description=introduction(context.settings.infrastructure.gateway.public_url),
        lifespan=lifespan,
        largest_body_mb=context.settings.infrastructure.gateway.request_size_limit_mb,
    )
    install_document(app)
    app.add_middleware(AuditTrail)
    app.add_middleware(IdentityEcho)
    app.add_middleware(RequestMetrics)
    install_failures(app)
    add_routes(app)
    return app


def add_routes(app: FastAPI) -> None:
    """Mount every router: one line a router, here and nowhere else."""
    app.include_router(front_page.router)
    app.include_router(health.root_router)
    mount(app, health.router)
    mount(app, auth.router)
    mount(app, login.router)
    mount(app, email_proofs.router)
    mount(app, api_keys.router)
    mount(app, key_administration.router)
    mount(app, models.router)
    mount(app, providers.router)
    mount(app, model_administration.router)
    mount(app, model_routes.router)
    mount(app, user_administration.router)
    mount(app, group_administration.router)
    mount(app, feature_flags.router)
    mount(app, audit_logs.router)
    mount(app, conversations.router)
    mount(app, items.router)
    mount(app, branches.router)
    mount(app, revisions.router)
    mount(app, projects.router)
    mount(app, shares.router)
    mount(app, usage.router)
    app.include_router(public_shares.router)
    mount(app, user_settings.router)
    mount(app, prompt_templates.router)
    app.include_router(prompt_templates.public_router)
    mount(app, model_prompt_templates.router)
    mount(app, mcp_tools.router)
    app.include_router(mcp_tools.public_router)
    mount_fast_route(app, "/v1/models", models.list_models, methods=["GET"], **models.LIST_DOCUMENT)
    mount_fast_route(
        app, "/v1/chat/completions", chat.create_chat_completion, methods=["POST"], **chat.CHAT_DOCUMENT
    )
    for path, endpoint, document in (
        ("/v1/audio/speech", audio.create_speech, audio.SPEECH_DOCUMENT),
        ("/v1/audio/transcriptions", audio.create_transcription, audio.TRANSCRIPTION_DOCUMENT),
        ("/v1/audio/translations", audio.create_translation, audio.TRANSLATION_DOCUMENT),
        ("/v1/completions", completions.create_completion, completions.DOCUMENT),
        ("/v1/embeddings", embeddings.create_embeddings, embeddings.DOCUMENT),
        ("/v1/images/edits", images.edit_image, images.EDIT_DOCUMENT),
        ("/v1/images/generations", images.create_image, images.GENERATION_DOCUMENT),
        ("/v1/images/variations", images.vary_image, images.VARIATION_DOCUMENT),
        ("/v1/moderations", moderations.create_moderation, moderations.DOCUMENT),
        ("/v1/rerank", rerank.create_ranking, rerank.DOCUMENT),
    ):
        mount_fast_route(app, path, endpoint, methods=["POST"], **document)
    mount_fast_route(
        app, "/v1/messages", messages.create_message, methods=["POST"], **messages.MESSAGE_DOCUMENT
    )
    mount_fast_route(
        app, "/v1/messages/count_tokens", messages.count_tokens, methods=["POST"], **messages.COUNT_DOCUMENT
    )
    mount_fast_route(
        app,
        "/auth/validate-api-key",
        api_keys.validate_api_key,
        methods=["POST"],
        public=True,
        **api_keys.VALIDATION_DOCUMENT,
    )


def mount(app: FastAPI, router: APIRouter) -> None:
    """Serve `router` as it is and below `/llm`; the document shows it once."""
    show_credentials(router, ASKING)
    app.include_router(router)
    app.include_router(router, prefix=MIRROR, include_in_schema=False)


def mount_fast_route(
    app: FastAPI,
    path: str,
    endpoint: Endpoint,
    *,
    methods: Sequence[str],
    public: bool = False,
    **openapi: Any,
) -> None:
    """Serve a hot route (see `jan_server.http.fast_route`) as it is and below `/llm`.

    The document says that it needs a credential, unless it is `public`.
    """
    if not public:
        openapi["openapi_extra"] = with_credentials(openapi.get("openapi_extra"))
    add_fast_route(app, MIRROR + path, endpoint, methods=methods, documented=False)
    add_fast_route(app, path, endpoint, methods=methods, **openapi)


def open_resources(context: ServiceContext) -> Resources:
    """Open what the service needs; nothing is asked of anybody yet."""
    settings = context.settings
    database = Database(context.database_url, application_name="jan llm-api")
    identity = IdentityServer(context.client, identity_address(settings))
    accounts = Accounts(identity)
    readiness = Readiness()
    readiness.add("database", database_probe(database))
    serving = make_serving(settings, database, context.client)
    readiness.add("inference", inference_probe(serving))
    readiness.add("identity", identity_probe(identity.availability))
    llm_api = settings.services.llm_api
    return Resources(
        settings=settings,
        started_at=now(),
        database=database,
        client=context.client,
        trusted_proxies=parse_networks(settings.infrastructure.gateway.trusted_ips),
        users=UserDirectory(database),
        identity=identity,
        accounts=accounts,
        key_check=KeyCheck(database, accounts, grace_seconds=llm_api.api_key.grace.total_seconds()),
        mailer=mailer_of(settings),
        guest_quota=GuestQuota(llm_api.guest_logins_per_hour),
        admin_limit=RequestLimit(llm_api.admin_requests_per_minute),
        public_share_limit=RequestLimit(llm_api.conversations.public_reads_per_minute),
        share_views=ShareViews(database),
        readiness=readiness,
        serving=serving,
    )


def identity_address(settings: Settings) -> IdentityAddress:
    """Where the identity server is, as the settings say."""
    keycloak = settings.infrastructure.auth.keycloak
    return IdentityAddress(
        base_url=keycloak.base_url.rstrip("/"),
        public_url=(keycloak.public_url or keycloak.base_url).rstrip("/"),
        realm=keycloak.realm,
        client_id=keycloak.client[0],
        redirect_uri=keycloak.oauth_redirect_uri,
        backend_id=keycloak.backend_client_id,
        backend_secret=keycloak.backend_client_secret.get_secret_value(),
    )


async def seed(database: Database) -> None:
    """Write what comes with the program and is kept in the database: prompts and tools."""
    async with database.session() as session:
        await seed_prompts(session)
        await seed_tools(session)


def jobs(opened: Resources) -> list[Job]:
    """What housekeeping does here."""
    guests = Job("idle guests", lambda: remove_guests(opened))
    return [guests, *row_jobs(opened.database, opened.settings)]


async def remove_guests(opened: Resources) -> int:
    """Remove the guests who were away for too long (see `guests.remove_idle_guests`), if any ever are."""
    if not opened.settings.identity.guest_ttl:
        return 0
    return await remove_idle_guests(
        opened.database,
        opened.accounts,
        issuer=opened.settings.infrastructure.auth.keycloak.issuer,
        idle=opened.settings.identity.guest_ttl,
    )
