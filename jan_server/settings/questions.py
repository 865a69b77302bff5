"""The questions of the quickstart, and the answers that the present settings amount to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import ValidationError

from jan_server.settings.loading import problem_of
from jan_server.settings.sources import Entry
from jan_server.settings.tree import Settings, plant

Kind = Literal["choice", "text", "secret", "switch"]


LIVEKIT_SECRET_LENGTH = 32
"""Characters that LiveKit wants its secret to have at the least."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that the quickstart asks. Empty text means "none" or "not needed"."""

    provider: str = "builtin"
    model: str = ""
    remote_url: str = ""
    remote_api_key: str = ""
    hf_token: str = ""
    search: str = "none"
    search_api_key: str = ""
    searxng_url: str = ""
    memory: bool = False
    embedding_url: str = ""
    media: str = "local"
    s3_endpoint: str = ""
    s3_region: str = ""
    s3_bucket: str = ""
    s3_access_key: str = ""
    s3_secret_key: str = ""
    s3_public_endpoint: str = ""
    realtime: bool = False
    livekit_url: str = ""
    livekit_api_key: str = ""
    livekit_api_secret: str = ""
    monitoring: bool = False
    listen_address: str = "127.0.0.1"
    identity: str = "embedded"


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        name: The attribute of Answers; its flag is `--name` with hyphens.
        text: What is asked.
        kind: How it is answered.
        choices: For a choice, each answer with what it means.
        applies: Whether the answers so far make the question necessary.
        setting: The setting whose limits the answer must keep, where there is one.
        required: Whether it must not stay empty.
        shortest: How many characters an answer needs that is not empty.
    """

    name: str
    text: str
    kind: Kind = "text"
    choices: tuple[tuple[str, str], ...] = ()
    applies: Callable[[Answers], bool] = lambda answers: True
    setting: str = ""
    required: bool = False
    shortest: int = 0

    @property
    def flag(self) -> str:
        """Its command-line flag."""
        return "--" + self.name.replace("_", "-")


def _is_s3(answers: Answers) -> bool:
    return answers.media == "s3"


QUESTIONS = (
    Question(
        "provider",
        "Where do answers come from?",
        "choice",
        (
            ("builtin", "a small model on this machine; needs nothing"),
            ("remote", "an OpenAI-compatible provider; needs its address and key"),
            ("vllm-gpu", "vLLM on an NVIDIA GPU"),
            ("vllm-cpu", "vLLM on the processor"),
        ),
    ),
    Question(
        "model",
        "Model (a name, or the path of a GGUF file)",
        applies=lambda answers: answers.provider == "builtin",
        setting="inference.llamacpp.model",
        required=True,
    ),
    Question(
        "model",
        "Model (its name on the model hub, or a path)",
        applies=lambda answers: answers.provider.startswith("vllm"),
        setting="inference.vllm.model",
        required=True,
    ),
    Question(
        "hf_token",
        "Token of the model hub (empty if the model needs none)",
        "secret",
        applies=lambda answers: answers.provider.startswith("vllm"),
    ),
    Question(
        "remote_url",
        "Address of the provider, up to and including /v1",
        applies=lambda answers: answers.provider == "remote",
        setting="inference.remote.url",
        required=True,
    ),
    Question(
        "remote_api_key",
        "Key of the provider (empty if it needs none)",
        "secret",
        applies=lambda answers: answers.provider == "remote",
    ),
    Question(
        "search",
        "Which search engine may tools use?",
        "choice",
        (
            ("none", "no web search"),
            ("serper", "Serper; needs a key"),
            ("exa", "Exa; needs a key"),
            ("tavily", "Tavily; needs a key"),
            ("searxng", "a SearXNG of your own; needs its address"),
        ),
    ),
    Question(
        "search_api_key",
        "Key of the search engine",
        "secret",
        applies=lambda answers: answers.search in ("serper", "exa", "tavily"),
        required=True,
    ),
    Question(
        "searxng_url",
        "Address of SearXNG",
        applies=lambda answers: answers.search == "searxng",
        setting="services.mcp_tools.searxng_url",
        required=True,
    ),
    Question("memory", "Remember facts about users between conversations?", "switch"),
    Question(
        "embedding_url",
        "Address of an embedding service (empty for the built-in one)",
        applies=lambda answers: answers.memory,
        setting="services.memory_tools.embedding.base_url",
    ),
    Question(
        "media",
        "Where are images and files of chats kept?",
        "choice",
        (
            ("local", "in the home folder"),
            ("s3", "in an S3-compatible storage; needs its address and keys"),
            ("off", "nowhere: media are switched off"),
        ),
    ),
    Question(
        "s3_endpoint",
        "Address of the S3 storage",
        applies=_is_s3,
        setting="services.media_api.s3.endpoint",
        required=True,
    ),
    Question("s3_region", "Region", applies=_is_s3, required=True),
    Question("s3_bucket", "Bucket", applies=_is_s3, required=True),
    Question("s3_access_key", "Access key", "secret", applies=_is_s3, required=True),
    Question("s3_secret_key", "Secret key", "secret", applies=_is_s3, required=True),
    Question(
        "s3_public_endpoint",
        "Address under which clients reach the storage (empty if they never do)",
        applies=_is_s3,
        setting="services.media_api.s3.public_endpoint",
    ),
    Question("realtime", "Offer voice sessions?", "switch"),
    Question(
        "livekit_url",
        "Address of LiveKit",
        applies=lambda answers: answers.realtime,
        setting="services.realtime_api.livekit.ws_url",
        required=True,
    ),
    Question(
        "livekit_api_key",
        "LiveKit key (empty makes one)",
        "secret",
        applies=lambda answers: answers.realtime,
    ),
    Question(
        "livekit_api_secret",
        "LiveKit secret (empty makes one)",
        "secret",
        applies=lambda answers: answers.realtime,
        shortest=LIVEKIT_SECRET_LENGTH,
    ),
    Question("monitoring", "Send traces and metrics?", "switch"),
    Question(
        "listen_address",
        "Address to listen on (0.0.0.0 opens the server to the network)",
        setting="server.listen_address",
        required=True,
    ),
)
"""Every question, in order; a later one may depend on the answers before it."""


def earlier_answers(settings: Settings) -> Answers:
    """Read the answers that the present settings amount to; they are the defaults of the next run."""
    inference, services = settings.inference, settings.services
    tools, media, livekit = services.mcp_tools, services.media_api, services.realtime_api.livekit
    search_keys = {"serper": tools.serper_api_key, "exa": tools.exa_api_key, "tavily": tools.tavily_api_key}
    search_key = search_keys.get(tools.search_engine)
    return Answers(
        provider=inference.provider,
        model=default_model(settings, inference.provider),
        remote_url=inference.remote.url,
        remote_api_key=inference.remote.api_key.get_secret_value(),
        hf_token=inference.vllm.hf_token.get_secret_value(),
        search=tools.search_engine,
        search_api_key=search_key.get_secret_value() if search_key else "",
        searxng_url=tools.searxng_url,
        memory=services.memory_tools.enabled,
        embedding_url=services.memory_tools.embedding.base_url,
        media=media.storage_backend if media.enabled else "off",
        s3_endpoint=media.s3.endpoint,
        s3_region=media.s3.region,
        s3_bucket=media.s3.bucket,
        s3_access_key=media.s3.access_key.get_secret_value(),
        s3_secret_key=media.s3.secret_key.get_secret_value(),
        s3_public_endpoint=media.s3.public_endpoint if media.s3.url_enabled else "",
        realtime=services.realtime_api.enabled,
        livekit_url=livekit.ws_url,
        livekit_api_key=livekit.api_key.get_secret_value(),
        livekit_api_secret=livekit.api_secret.get_secret_value(),
        monitoring="monitoring" in settings.meta.profiles,
        listen_address=settings.server.listen_address,
        identity=settings.identity.mode,
    )


def answered(answers: Answers, name: str, value: Any, settings: Settings) -> Answers:
    """Take one more answer, and let the suggestions that depend on it follow.

    Args:
        answers: The answers so far.
        name: The attribute that is answered.
        value: The answer.
        settings: The present settings, which know the suggestions.
    """
    if name == "provider" and value != answers.provider:
        return replace(answers, provider=value, model=default_model(settings, value))
    if name == "search" and value != answers.search:
        keys = {
            "serper": settings.services.mcp_tools.serper_api_key,
            "exa": settings.services.mcp_tools.exa_api_key,
            "tavily": settings.services.mcp_tools.tavily_api_key,
        }
        key = keys[value].get_secret_value() if value in keys else ""
        return replace(answers, search=value, search_api_key=key)
    return replace(answers, **{name: value})


def default_model(settings: Settings, provider: str) -> str:
    """Suggest a model for a source of answers; empty where the provider decides."""
    if provider == "builtin":
        return settings.inference.llamacpp.model
    return settings.inference.vllm.model if provider.startswith("vllm") else ""


def complaint(question: Question, value: Any) -> str:
    """Say what is wrong with an answer; empty if nothing is."""
    if question.required and value == "":
        return "an answer is needed"
    if question.shortest and 0 < len(value) < question.shortest:
        return f"needs at least {question.shortest} characters"
    if question.choices and value not in dict(question.choices):
        return f"must be one of {', '.join(choice for choice, _ in question.choices)}"
    if question.setting and value != "":
        tree: dict[str, Any] = {}
        plant(tree, question.setting, value)
        try:
            Settings.model_validate(tree)
        except ValidationError as error:
            said = {question.setting: (Entry(question.setting, value, ""),)}
            return problem_of(error.errors(include_url=False)[0], said).message
    return ""
