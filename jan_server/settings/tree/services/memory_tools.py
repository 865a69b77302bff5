"""The settings of memory-tools."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import SecretStr

from jan_server.settings.tree.fields import (
    Duration,
    HttpUrl,
    LogFormat,
    LogLevel,
    Port,
    RedisUrl,
    Section,
    setting,
)


class EmbeddingRetry(Section):
    """How a failed embedding is tried again."""

    enabled: bool = setting(True, "Whether it is tried again.", "EMBEDDING_RETRY_ENABLED")
    max_attempts: int = setting(3, "Tries, the first one included.", "EMBEDDING_RETRY_MAX_ATTEMPTS", ge=1)
    initial_backoff: Duration = setting(
        timedelta(seconds=1), "Wait before the second try.", "EMBEDDING_RETRY_INITIAL_BACKOFF"
    )
    max_backoff: Duration = setting(timedelta(seconds=10), "Longest wait.", "EMBEDDING_RETRY_MAX_BACKOFF")


class EmbeddingCacheRedis(Section):
    """The cache in Redis."""

    url: RedisUrl = setting("redis://127.0.0.1:6379/3", "Address of Redis.", "EMBEDDING_CACHE_REDIS_URL")
    key_prefix: str = setting(
        "emb:", "What its keys begin with.", "EMBEDDING_CACHE_REDIS_PREFIX", "EMBEDDING_CACHE_KEY_PREFIX"
    )


class EmbeddingCacheMemory(Section):
    """The cache in memory."""

    max_size: int = setting(10_000, "Embeddings that it holds.", "EMBEDDING_CACHE_MAX_SIZE", ge=1)


class EmbeddingCache(Section):
    """Where embeddings are kept for the next time."""

    enabled: bool = setting(True, "Whether they are kept.", "EMBEDDING_CACHE_ENABLED")
    type: Literal["memory", "redis", "noop"] = setting(
        "memory", "Where they are kept.", "EMBEDDING_CACHE_TYPE"
    )
    ttl: Duration = setting(timedelta(hours=1), "How long they are kept.", "EMBEDDING_CACHE_TTL")
    redis: EmbeddingCacheRedis = EmbeddingCacheRedis()
    memory: EmbeddingCacheMemory = EmbeddingCacheMemory()


class EmbeddingBatch(Section):
    """How texts are sent together."""

    enabled: bool = setting(True, "Whether they are sent together.", "EMBEDDING_BATCH_ENABLED")
    max_size: int = setting(32, "Texts of one batch.", "EMBEDDING_BATCH_MAX_SIZE", ge=1)
    timeout: Duration = setting(
        timedelta(seconds=5), "Longest wait for a full batch.", "EMBEDDING_BATCH_TIMEOUT"
    )


class EmbeddingCircuitBreaker(Section):
    """When a failing embedding service is left alone for a while."""

    enabled: bool = setting(True, "Whether it is left alone at all.", "EMBEDDING_CB_ENABLED")
    threshold: int = setting(5, "Failures that open it.", "EMBEDDING_CB_THRESHOLD", ge=1)
    timeout: Duration = setting(
        timedelta(seconds=30), "Time before it is tried again.", "EMBEDDING_CB_TIMEOUT"
    )
    max_concurrent: int = setting(100, "Calls at the same time.", "EMBEDDING_CB_MAX_CONCURRENT", ge=1)


class Embedding(Section):
    """What turns text into vectors."""

    base_url: HttpUrl = setting(
        "", "Address of an embedding service; empty means the built-in one.", "EMBEDDING_SERVICE_URL"
    )
    api_key: SecretStr = setting(SecretStr(""), "Key of the embedding service.", "EMBEDDING_SERVICE_API_KEY")
    timeout: Duration = setting(timedelta(seconds=30), "Longest call.", "EMBEDDING_SERVICE_TIMEOUT")
    validate_on_startup: bool = setting(
        True,
        "Whether the service is asked once at the start.",
        "VALIDATE_EMBEDDING_ON_START",
        "EMBEDDING_VALIDATE_ON_STARTUP",
    )
    validate_timeout: Duration = setting(
        timedelta(seconds=10), "Longest wait for that answer.", "VALIDATE_EMBEDDING_TIMEOUT"
    )
    expected_model: str = setting("BAAI/bge-m3", "Model that it should have.", "EMBEDDING_EXPECTED_MODEL")
    expected_dimension: int = setting(
        1024, "Length of its vectors.", "EMBEDDING_EXPECTED_DIMENSION", ge=1, le=16_000
    )
    retry: EmbeddingRetry = EmbeddingRetry()
    cache: EmbeddingCache = EmbeddingCache()
    batch: EmbeddingBatch = EmbeddingBatch()
    circuit_breaker: EmbeddingCircuitBreaker = EmbeddingCircuitBreaker()


class MemoryTools(Section):
    """memory-tools: what is remembered about users, projects and conversations."""

    enabled: bool = setting(False, "Whether memory-tools runs.", "MEMORY_TOOLS_ENABLED", "MEMORY_ENABLED")
    http_port: Port = setting(8090, "Port of memory-tools.", "MEMORY_TOOLS_PORT")
    log_level: LogLevel = setting(
        "info", "How much memory-tools logs.", "MEMORY_TOOLS_LOG_LEVEL", "LOG_LEVEL"
    )
    log_format: LogFormat = setting("json", "How memory-tools logs.", "MEMORY_TOOLS_LOG_FORMAT", "LOG_FORMAT")
    api_key: SecretStr = setting(SecretStr(""), "Key that internal callers send.", "MEMORY_TOOLS_API_KEY")
    request_timeout: Duration = setting(timedelta(seconds=30), "Longest request.", "REQUEST_TIMEOUT")
    idle_timeout: Duration = setting(timedelta(seconds=120), "Life of an idle connection.", "IDLE_TIMEOUT")
    embedding: Embedding = Embedding()
