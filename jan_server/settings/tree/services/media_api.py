"""The settings of media-api."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import SecretStr

from jan_server.settings.tree.fields import Duration, HttpUrl, LogLevel, Port, Section, setting


class S3(Section):
    """An S3-compatible object storage."""

    endpoint: HttpUrl = setting("", "Address of the storage.", "MEDIA_S3_ENDPOINT")
    public_endpoint: HttpUrl = setting(
        "", "Address under which clients reach the storage, where it differs.", "MEDIA_S3_PUBLIC_ENDPOINT"
    )
    url_enabled: bool = setting(
        False, "Whether clients get public addresses of the storage.", "MEDIA_S3_URL_ENABLED"
    )
    region: str = setting("us-west-2", "Region of the storage.", "MEDIA_S3_REGION")
    bucket: str = setting("platform-dev", "Bucket for media.", "MEDIA_S3_BUCKET")
    access_key: SecretStr = setting(SecretStr(""), "Name of the access key.", "MEDIA_S3_ACCESS_KEY_ID")
    secret_key: SecretStr = setting(SecretStr(""), "Secret of the access key.", "MEDIA_S3_SECRET_ACCESS_KEY")
    use_path_style: bool = setting(
        True, "Whether the bucket stands in the path instead of the host name.", "MEDIA_S3_USE_PATH_STYLE"
    )
    presign_ttl: Duration = setting(
        timedelta(minutes=5), "Life of an address that the storage signed.", "MEDIA_S3_PRESIGN_TTL"
    )


class MediaApi(Section):
    """media-api: files that chats refer to."""

    enabled: bool = setting(True, "Whether media-api runs.", "MEDIA_API_ENABLED")
    http_port: Port = setting(8285, "Port of media-api.", "MEDIA_API_PORT")
    log_level: LogLevel = setting("info", "How much media-api logs.", "MEDIA_LOG_LEVEL", "LOG_LEVEL")
    auth_enabled: bool = setting(
        True, "Whether media-api asks for a token.", "MEDIA_AUTH_ENABLED", "AUTH_ENABLED"
    )
    max_upload_bytes: int = setting(
        20_971_520, "Largest file, in bytes.", "MEDIA_MAX_BYTES", "MEDIA_MAX_UPLOAD_BYTES", ge=1
    )
    retention_days: int = setting(30, "Days that a file is kept.", "MEDIA_RETENTION_DAYS", ge=1)
    proxy_download: bool = setting(
        True, "Whether media-api passes files on itself instead of redirecting.", "MEDIA_PROXY_DOWNLOAD"
    )
    remote_fetch_timeout: Duration = setting(
        timedelta(seconds=15), "Longest fetch of a file by its address.", "MEDIA_REMOTE_FETCH_TIMEOUT"
    )
    public_url: HttpUrl = setting(
        "http://localhost:8000",
        "Address that a file's own address begins with.",
        "MEDIA_PUBLIC_URL",
        "MEDIA_API_URL",
        follows="{infrastructure.gateway.public_url}",
    )
    storage_backend: Literal["local", "s3"] = setting(
        "local",
        "Where files are kept: in the home folder, or in an S3-compatible storage.",
        "MEDIA_STORAGE_BACKEND",
    )
    local_storage_path: str = setting(
        "", "Folder for files; empty means data/media in the home folder.", "MEDIA_LOCAL_STORAGE_PATH"
    )
    local_storage_base_url: HttpUrl = setting(
        "http://localhost:8285/v1/files",
        "Address that locally kept files have when media-api is asked directly.",
        "MEDIA_LOCAL_STORAGE_BASE_URL",
        follows="http://{server.public_host}:{services.media_api.http_port}/v1/files",
    )
    s3: S3 = S3()
