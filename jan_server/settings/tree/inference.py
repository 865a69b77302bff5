"""The settings of inference: the engine on this machine, remote providers, and how long to wait for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr

from jan_server.settings.tree.fields import Duration, HttpUrl, Port, Section, TextList, json_text, setting


class LlamaCpp(Section):
    """The built-in engine: llama.cpp in a supervised child process."""

    port: Port = setting(8101, "Port of the built-in engine.", "JAN_LLAMACPP_PORT")
    model: str = setting(
        "smollm2-135m-instruct",
        "Model of the built-in engine: a name that `jan models list` knows, or the path of a GGUF file.",
        "JAN_LLAMACPP_MODEL",
        min_length=1,
    )
    context_size: int = setting(
        16384,
        "Tokens that all slots together can hold; each request gets an equal share.",
        "JAN_LLAMACPP_CONTEXT_SIZE",
        ge=256,
    )
    slots: int = setting(4, "Requests that are answered at the same time.", "JAN_LLAMACPP_SLOTS", ge=1, le=64)
    threads: int = setting(
        0, "Threads of the engine; 0 means one a core, less one.", "JAN_LLAMACPP_THREADS", ge=0
    )
    api_key: SecretStr = setting(
        SecretStr(""),
        "Key that the engine asks for and that the services send; empty asks for none.",
        "JAN_LLAMACPP_API_KEY",
    )


class Remote(Section):
    """A remote provider that speaks OpenAI's protocol."""

    enabled: bool = setting(
        True, "Whether the remote provider is used once it has an address.", "REMOTE_LLM_ENABLED"
    )
    url: HttpUrl = setting(
        "", "Address of the provider, up to and including /v1; empty means none.", "REMOTE_LLM_PROVIDER_URL"
    )
    api_key: SecretStr = setting(SecretStr(""), "Key of the provider; may be empty.", "REMOTE_API_KEY")
    models: TextList = setting(
        (), "Models to offer; empty offers all that the provider lists.", "JAN_REMOTE_MODELS"
    )


class Vllm(Section):
    """A vLLM server, on a GPU or on the CPU."""

    enabled: bool = setting(False, "Whether a vLLM server is used.", "VLLM_ENABLED")
    port: Port = setting(8101, "Port of vLLM.", "VLLM_PORT")
    url: HttpUrl = setting(
        "http://127.0.0.1:8101/v1",
        "Address of vLLM, up to and including /v1.",
        "VLLM_PROVIDER_URL",
        follows="http://{local_host}:{inference.vllm.port}/v1",
    )
    model: str = setting("Qwen/Qwen2.5-0.5B-Instruct", "Model to load.", "VLLM_MODEL", min_length=1)
    served_name: str = setting(
        "qwen2.5-0.5b-instruct",
        "Name under which the model is offered.",
        "VLLM_SERVED_NAME",
        "VLLM_CPU_SERVED_NAME",
    )
    gpu_utilization: float = setting(
        0.66,
        "Share of the GPU's memory that vLLM takes.",
        "VLLM_GPU_UTIL",
        "VLLM_GPU_MEMORY_UTIL",
        gt=0,
        le=1,
    )
    tool_support: bool = setting(True, "Whether the model is offered with tool calls.", "VLLM_TOOL_SUPPORT")
    internal_key: SecretStr = setting(
        SecretStr(""),
        "Key that vLLM asks for and that the services send.",
        "VLLM_INTERNAL_KEY",
        "VLLM_API_KEY",
    )
    hf_token: SecretStr = setting(
        SecretStr(""), "Token of the model hub, for models behind a licence.", "HF_TOKEN"
    )


class ImageProvider(Section):
    """A provider of images."""

    enabled: bool = setting(False, "Whether the image provider is used.", "ZIMAGE_ENABLED")
    url: HttpUrl = setting("", "Address of the provider, up to and including /v1.", "ZIMAGE_PROVIDER_URL")
    api_key: SecretStr = setting(SecretStr(""), "Key of the provider.", "ZIMAGE_API_KEY")


class Embeddings(Section):
    """The built-in model of embeddings."""

    builtin: bool = setting(
        True,
        "Whether the built-in model of embeddings is offered; it takes no memory before its first use.",
        "JAN_BUILTIN_EMBEDDINGS",
    )


class ProviderEndpoint(Section):
    """One address of a provider."""

    url: HttpUrl = setting("", "Address, up to and including /v1.", min_length=1)
    weight: int = setting(1, "Share of the requests that this address gets.", ge=0)


class Provider(Section):
    """One provider of the list, with the fields of the contract's provider file."""

    name: str = Field(description="Name of the provider.", min_length=1)
    enable: bool = setting(True, "Whether it is used.")
    type: str = setting("custom", "What it is: vllm, jan, custom, openai, gemini, z-image and the like.")
    category: str = setting("llm", "What it answers: llm, image, embedding.")
    url: HttpUrl = setting("", "Its address, where it has one.")
    endpoints: tuple[ProviderEndpoint, ...] = setting((), "Its addresses, where it has several.")
    api_key: SecretStr = setting(SecretStr(""), "Its key.")
    description: str = setting("", "What people should know about it.")
    models: TextList = setting((), "Models to offer; empty offers all that it lists.")
    auto_enable_new_models: bool = setting(True, "Whether a model that appears is offered at once.")
    sync_models: bool = setting(True, "Whether its models are listed regularly.")
    max_concurrent_requests: int | None = setting(
        None, "Requests that it gets at a time from one process; null for any number.", ge=1, le=1_000_000
    )
    max_queued_requests: int = setting(
        100, "Requests that wait for a place at the most; further ones get 429.", ge=0, le=1_000_000
    )
    queue_timeout: Duration = setting(
        timedelta(seconds=30), "How long a request waits for a place; then it gets 429."
    )
    metadata: Mapping[str, Any] = setting({}, "Anything else, kept as it is.")


class Timeouts(Section):
    """How long a provider may take."""

    connect: Duration = setting(
        timedelta(seconds=10), "To take the connection.", "JAN_INFERENCE_CONNECT_TIMEOUT"
    )
    first_token: Duration = setting(
        timedelta(seconds=120), "To send the first byte of an answer.", "JAN_INFERENCE_FIRST_TOKEN_TIMEOUT"
    )
    idle: Duration = setting(
        timedelta(seconds=60), "Between two bytes of an answer.", "JAN_INFERENCE_IDLE_TIMEOUT"
    )


class Inference(Section):
    """Where answers come from."""

    provider: Literal["builtin", "remote", "vllm-gpu", "vllm-cpu"] = setting(
        "builtin",
        "The main source of answers: the built-in engine, a remote provider, or vLLM.",
        "JAN_LLM_PROVIDER",
    )
    llamacpp: LlamaCpp = LlamaCpp()
    remote: Remote = Remote()
    vllm: Vllm = Vllm()
    image: ImageProvider = ImageProvider()
    embeddings: Embeddings = Embeddings()
    providers: Annotated[tuple[Provider, ...], BeforeValidator(json_text)] = setting(
        (), "Further providers, each with name, url and api_key; as a variable, a JSON list.", "JAN_PROVIDERS"
    )
    timeouts: Timeouts = Timeouts()
