"""The settings of llm-api."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr

from jan_server.settings.tree.fields import (
    Duration,
    HttpUrl,
    LogFormat,
    LogLevel,
    Port,
    Section,
    TextList,
    json_text,
    setting,
)

LOGIN_REDIRECTS = tuple(
    f"http://{host}:{port_and_path}"
    for host in ("localhost", "127.0.0.1")
    for port_and_path in (
        "8000/auth/callback",
        "8000/auth/google/callback",
        "8080/auth/callback",
        "8080/auth/google/callback",
        "3000/*",
        "3001/*",
    )
)
"""What the realm registers for `jan-client` (contract/identity.md, section 2)."""


class ApiKeyPolicy(Section):
    """The rules of API keys."""

    prefix: str = setting(
        "sk_live", "What every key begins with.", "API_KEY_PREFIX", pattern=r"^sk_[A-Za-z0-9_]*$"
    )
    default_ttl: Duration = setting(
        timedelta(hours=2160), "Life of a key whose maker asked for none.", "API_KEY_DEFAULT_TTL"
    )
    max_ttl: Duration = setting(timedelta(hours=2160), "Longest life of a key.", "API_KEY_MAX_TTL")
    max_per_user: int = setting(5, "Keys that one user may hold.", "API_KEY_MAX_PER_USER", ge=1)
    grace: Duration = setting(
        timedelta(minutes=10),
        "How long a key goes on working while the identity server does not answer; 0s for not at all.",
        "JAN_API_KEY_GRACE",
    )
    kept_after_end: Duration = setting(
        timedelta(days=90),
        "How long a key that expired or was revoked is still listed; 0s for ever.",
        "JAN_API_KEYS_KEPT_AFTER_END",
    )
    secret: SecretStr = setting(
        SecretStr(""), "Understood and not used: keys are hashed with SHA-256 alone.", "APIKEY_SECRET"
    )


class PromptOrchestration(Section):
    """What is added to a prompt on its way to the model."""

    enabled: bool = setting(False, "Whether prompts are worked on at all.", "PROMPT_ORCHESTRATION_ENABLED")
    enable_memory: bool = setting(
        False,
        "Whether memories of the user are added.",
        "PROMPT_ORCHESTRATION_MEMORY",
        follows="{services.llm_api.memory.enabled}",
    )
    enable_templates: bool = setting(
        True, "Whether prompt templates are applied.", "PROMPT_ORCHESTRATION_TEMPLATES"
    )
    enable_tools: bool = setting(
        True, "Whether instructions for tools are added.", "PROMPT_ORCHESTRATION_TOOLS"
    )


class MemoryClient(Section):
    """How llm-api reaches memory-tools."""

    enabled: bool = setting(
        False,
        "Whether memory is used in chats.",
        "MEMORY_ENABLED",
        "MEMORY_TOOLS_ENABLED",
        follows="{services.memory_tools.enabled}",
    )
    base_url: HttpUrl = setting(
        "http://127.0.0.1:8090",
        "Address of memory-tools.",
        "MEMORY_BASE_URL",
        follows="http://{local_host}:{services.memory_tools.http_port}",
    )
    timeout: Duration = setting(timedelta(seconds=5), "Longest wait for memory-tools.", "MEMORY_TIMEOUT")


class ConversationOptions(Section):
    """What conversations can do."""

    sharing_enabled: bool = setting(
        True, "Whether conversations can be shared publicly.", "CONVERSATION_SHARING_ENABLED"
    )
    public_reads_per_minute: int = setting(
        100,
        "Shared conversations that an address may read in a minute, counted in each process; 0 for no limit.",
        "JAN_PUBLIC_SHARE_READS_PER_MINUTE",
        ge=0,
    )
    revoked_shares_kept: Duration = setting(
        timedelta(days=90),
        "How long a revoked share and what it showed are kept; 0s for ever.",
        "JAN_REVOKED_SHARES_KEPT",
    )
    title_generation_enabled: bool = setting(
        False, "Whether a model writes titles.", "CONVERSATION_TITLE_GENERATION_ENABLED"
    )
    title_generation_model_id: str = setting(
        "LFM2-8B-A1B", "Model that writes titles.", "CONVERSATION_TITLE_GENERATION_MODEL_ID"
    )


class ImageOptions(Section):
    """What images can do, and what is taken where a request says nothing."""

    enabled: bool = setting(False, "Whether images can be made.", "IMAGE_GENERATION_ENABLED")
    timeout: Duration = setting(
        timedelta(seconds=120), "Longest wait for an image.", "IMAGE_GENERATION_TIMEOUT"
    )
    default_model: str = setting("z-image", "Model of images.", "IMAGE_DEFAULT_MODEL")
    default_size: str = setting(
        "1024x1024", "Size of images.", "IMAGE_DEFAULT_SIZE", pattern=r"^(auto|\d+x\d+)$"
    )
    default_quality: str = setting("standard", "Quality of images.", "IMAGE_DEFAULT_QUALITY")
    default_style: str = setting("natural", "Style of images.", "IMAGE_DEFAULT_STYLE")
    default_response_format: Literal["url", "b64_json"] = setting(
        "url", "How images are handed over.", "IMAGE_DEFAULT_RESPONSE_FORMAT"
    )
    max_n: int = setting(4, "Images of one request at the most.", "IMAGE_MAX_N", ge=1)
    media_presign_ttl: Duration = setting(
        timedelta(hours=1), "Life of an image's address.", "IMAGE_MEDIA_PRESIGN_TTL"
    )


class ModelPrice(Section):
    """What a model costs."""

    prompt: Decimal = setting(Decimal(), "Dollars for a million tokens that the model reads.", ge=0)
    completion: Decimal = setting(Decimal(), "Dollars for a million tokens that it writes.", ge=0)


ModelPrices = Annotated[Mapping[str, ModelPrice], BeforeValidator(json_text)]
"""Prices by model id; the text form is JSON."""


class UsageOptions(Section):
    """How calls of models are counted."""

    ask_in_streams: bool = setting(
        True,
        "Whether providers are asked for the tokens of every stream. Switch it off for providers that refuse "
        "stream_options; the tokens are then estimated.",
        "JAN_USAGE_IN_STREAMS",
    )
    calls_kept: Duration = setting(
        timedelta(),
        "How long the single calls are kept; the sums of days stay. 0s for ever.",
        "JAN_USAGE_CALLS_KEPT",
    )
    prices: ModelPrices = setting(
        {},
        "Prices by model id that win over all others, as JSON: "
        '{"vendor/model": {"prompt": 2.5, "completion": 10}}, in dollars for a million tokens.',
        "JAN_MODEL_PRICES",
    )


class RouteTarget(Section):
    """One model behind a route."""

    model: str = Field(description="A model id, or the provider's own id; never another route.", min_length=1)
    provider: str = setting(
        "", "Name or id of its provider; empty for the one that answers for the model's id."
    )
    weight: int = setting(
        1, "Its share of the requests among the targets of its priority.", ge=0, le=1_000_000
    )
    priority: int = setting(0, "The lowest number is asked first.", ge=0, le=2**31 - 1)


class ModelRoute(Section):
    """A name that leads to models: an alias, a weighted group, or models with fallbacks."""

    name: str = Field(description="What clients send as model.", min_length=1, max_length=255)
    description: str = setting("", "What people should know about it.", max_length=4096)
    targets: tuple[RouteTarget, ...] = Field(
        description="The models, each with model, provider, weight and priority.",
        min_length=1,
        max_length=100,
    )
    fallback_on: tuple[Literal["error", "timeout", "rate_limit", "context_overflow"], ...] = setting(
        ("error", "timeout", "rate_limit", "context_overflow"), "Failures for which the next model is asked."
    )
    active: bool = setting(True, "Whether it is used.")


class LlmApi(Section):
    """llm-api: chat, models, conversations, log-in."""

    http_port: Port = setting(8080, "Port of llm-api.", "HTTP_PORT", "LLM_API_HTTP_PORT")
    metrics_port: Port = setting(
        9091, "Port of llm-api's metrics, where they have their own.", "METRICS_PORT"
    )
    log_level: LogLevel = setting("info", "How much llm-api logs.", "LLM_API_LOG_LEVEL", "LOG_LEVEL")
    log_format: LogFormat = setting("json", "How llm-api logs.", "LLM_API_LOG_FORMAT", "LOG_FORMAT")
    auto_migrate: bool = setting(
        True, "Whether the tables are brought up to date at the start.", "AUTO_MIGRATE"
    )
    admin_auth_enabled: bool = setting(
        True,
        "Whether /v1/admin asks for an administrator. Switch it off only for tests.",
        "ENABLE_ADMIN_AUTH",
        inverse=("DISABLE_ADMIN_AUTH", "ADMIN_BYPASS"),
    )
    audit_kept: Duration = setting(
        timedelta(), "How long entries of the audit log are kept; 0s for ever.", "JAN_AUDIT_KEPT"
    )
    admin_requests_per_minute: int = setting(
        100,
        "Requests to /v1/admin that one person may send in a minute, counted in each process; "
        "0 for no limit.",
        "JAN_ADMIN_REQUESTS_PER_MINUTE",
        ge=0,
    )
    provider_config_file: str = setting(
        "", "A YAML file of model providers; a path. Empty means none.", "JAN_PROVIDER_CONFIGS_FILE"
    )
    provider_config_set: str = setting(
        "default", "Set of that file which is used.", "JAN_PROVIDER_CONFIG_SET", min_length=1
    )
    provider_configs_enabled: bool = setting(True, "Whether that file is read.", "JAN_PROVIDER_CONFIGS")
    api_key: ApiKeyPolicy = ApiKeyPolicy()
    model_provider_secret: SecretStr = setting(
        SecretStr(""), "Key that encrypts the keys of providers in the database.", "MODEL_PROVIDER_SECRET"
    )
    max_user_message_tokens: int = setting(
        24_000,
        "Longest last user message of a chat in estimated tokens; 0 means no limit.",
        "JAN_MAX_USER_MESSAGE_TOKENS",
        ge=0,
    )
    allowed_models: TextList = setting(
        (),
        "Patterns of the models that are offered at all, such as `openai/*`; empty for all of them.",
        "JAN_ALLOWED_MODELS",
    )
    denied_models: TextList = setting(
        (), "Patterns of the models that are offered to nobody, allowed or not.", "JAN_DENIED_MODELS"
    )
    model_sync_enabled: bool = setting(
        True, "Whether providers are asked for their models regularly.", "MODEL_SYNC_ENABLED"
    )
    model_sync_interval_minutes: int = setting(
        60, "Minutes between two such rounds.", "MODEL_SYNC_INTERVAL_MINUTES", ge=1
    )
    model_routes: Annotated[tuple[ModelRoute, ...], BeforeValidator(json_text)] = setting(
        (),
        "Names that lead to models, each with name and targets; as a variable, a JSON list.",
        "JAN_MODEL_ROUTES",
    )
    prompt_orchestration: PromptOrchestration = PromptOrchestration()
    memory: MemoryClient = MemoryClient()
    conversations: ConversationOptions = ConversationOptions()
    usage: UsageOptions = UsageOptions()
    response_cache_mb: int = setting(
        64,
        "Memory for answers that requests with `cache` may get again, in megabytes a process; 0 keeps none.",
        "JAN_RESPONSE_CACHE_MB",
        ge=0,
    )
    max_response_mb: int = setting(
        64,
        "Largest answer of a provider, whole or streamed, in megabytes; 0 for no limit.",
        "JAN_MAX_RESPONSE_MB",
        ge=0,
    )
    images: ImageOptions = ImageOptions()
    media_resolve_url: HttpUrl = setting(
        "http://127.0.0.1:8285/v1/media/resolve",
        "Accepted and not asked: chats read the media that they name below MEDIA_INGEST_URL.",
        "MEDIA_RESOLVE_URL",
        follows="http://{local_host}:{services.media_api.http_port}/v1/media/resolve",
    )
    media_resolve_timeout: Duration = setting(
        timedelta(seconds=5), "Longest wait for the media that a chat names.", "MEDIA_RESOLVE_TIMEOUT"
    )
    media_ingest_url: HttpUrl = setting(
        "http://127.0.0.1:8285/v1/media",
        "Where media of a chat are stored.",
        "MEDIA_INGEST_URL",
        follows="http://{local_host}:{services.media_api.http_port}/v1/media",
    )
    http_timeout: Duration = setting(timedelta(seconds=30), "Longest plain request.", "HTTP_TIMEOUT")
    stream_timeout: Duration = setting(timedelta(seconds=600), "Longest answer of a model.", "STREAM_TIMEOUT")
    swagger_enabled: bool = setting(True, "Whether /api/swagger is served.", "ENABLE_SWAGGER")
    login_redirects: TextList = setting(
        LOGIN_REDIRECTS,
        "Addresses to which a browser may be sent with its tokens after the log-in, beside those of "
        "identity.redirect_uris; a `*` at the end stands for any path.",
        "JAN_LOGIN_REDIRECTS",
    )
    login_cookie_required: bool = setting(
        False,
        "Whether a log-in ends only in the browser that began it, known by a cookie. Pages that fetch "
        "/auth/login must then do so with credentials, from the same site.",
        "JAN_LOGIN_COOKIE_REQUIRED",
    )
    login_home: HttpUrl = setting(
        "http://localhost:3000/",
        "Where a browser goes after the log-in when it named no address, and when the log-in failed.",
        "JAN_LOGIN_HOME",
        follows="http://{server.public_host}:3000/",
        min_length=1,
    )
    guest_logins_per_hour: int = setting(
        0,
        "Guests that one client address may make in an hour; 0 for no limit.",
        "JAN_GUEST_LOGINS_PER_HOUR",
        ge=0,
    )
