"""The settings of traces, metrics and the programs that show them."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import SecretStr

from jan_server.settings.tree.fields import Duration, HttpUrl, Port, SecretMap, Section, setting


class Otel(Section):
    """OpenTelemetry."""

    enabled: bool = setting(False, "Whether traces and metrics are sent at all.", "OTEL_ENABLED")
    tracing_enabled: bool = setting(
        False, "Whether requests are traced.", "ENABLE_TRACING", follows="{monitoring.otel.enabled}"
    )
    service_name: str = setting(
        "llm-api", "Name under which traces appear.", "OTEL_SERVICE_NAME", "SERVICE_NAME"
    )
    service_namespace: str = setting("jan", "Namespace under which traces appear.", "SERVICE_NAMESPACE")
    service_version: str = setting("unknown", "Version that traces carry.", "OTEL_SERVICE_VERSION")
    endpoint: HttpUrl = setting(
        "http://127.0.0.1:4318",
        "Collector that takes OTLP over HTTP.",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        follows="http://{local_host}:{monitoring.otel.http_port}",
    )
    headers: SecretMap = setting({}, "Headers that the collector asks for.", "OTEL_EXPORTER_OTLP_HEADERS")
    sampling_rate: float = setting(
        1.0, "Share of requests that are traced.", "OTEL_TRACES_SAMPLER_ARG", ge=0, le=1
    )
    pii_level: Literal["none", "hashed", "full"] = setting(
        "hashed",
        "How much of a person's data logs and traces may carry: only that there was some, a hash of it, "
        "or all. Credentials are never logged.",
        "TELEMETRY_PII_LEVEL",
    )
    metric_interval: Duration = setting(
        timedelta(seconds=15), "Time between two deliveries of metrics.", "OTEL_METRIC_EXPORT_INTERVAL"
    )
    http_port: Port = setting(4318, "Port of the collector for HTTP.", "OTEL_HTTP_PORT")
    grpc_port: Port = setting(4317, "Port of the collector for gRPC.", "OTEL_GRPC_PORT")


class Prometheus(Section):
    """Prometheus."""

    port: Port = setting(9090, "Port of Prometheus.", "PROMETHEUS_PORT")


class Grafana(Section):
    """Grafana."""

    port: Port = setting(3331, "Port of Grafana.", "GRAFANA_PORT")
    admin_user: str = setting("admin", "Name of Grafana's administrator.", "GRAFANA_ADMIN_USER", min_length=1)
    admin_password: SecretStr = setting(
        SecretStr(""), "Password of Grafana's administrator.", "GRAFANA_ADMIN_PASSWORD"
    )


class Jaeger(Section):
    """Jaeger."""

    ui_port: Port = setting(16686, "Port of Jaeger's pages.", "JAEGER_UI_PORT")


class Monitoring(Section):
    """Traces, metrics and the programs that show them."""

    otel: Otel = Otel()
    prometheus: Prometheus = Prometheus()
    grafana: Grafana = Grafana()
    jaeger: Jaeger = Jaeger()
