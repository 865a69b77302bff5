"""The service tells how it is."""

import re
from datetime import datetime

import psycopg
import pytest
from sqlalchemy.engine import make_url

from jan_server import __version__
from jan_server.http.readiness import Finding, Readiness
from tests.services.llm_api.conftest import eventually


@pytest.mark.parametrize(("path", "body"), [("/healthz", {"status": "ok"}), ("/healthcheck", "ok")])
async def test_the_process_answers(llm_api, path, body):
    answer = await llm_api.get(path)
    assert answer.status_code == 200 and answer.json() == body
    assert (await llm_api.get("/llm" + path)).status_code == 404


async def test_readiness_asks_postgresql(llm_api):
    answer = await llm_api.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["checks"]["database"] == {"status": "ok"}


@pytest.fixture
def shut(database_url, postgres_url):
    """Closes the database to everybody, and opens it again."""
    name = make_url(database_url).database

    def switch(open_again: bool) -> None:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f'alter database "{name}" with allow_connections {open_again}')
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,)
            )

    yield lambda: switch(False)
    switch(True)


async def test_readiness_fails_while_postgresql_is_gone(llm_api, shut):
    shut()

    async def unavailable():
        return (await llm_api.get("/readyz")).status_code == 503

    await eventually(unavailable)
    answer = (await llm_api.get("/readyz")).json()
    assert answer["status"] == "unavailable"
    assert answer["checks"]["database"]["status"] == "failed" and answer["checks"]["database"]["detail"]
    assert (await llm_api.get("/healthz")).status_code == 200


async def report_of(*findings):
    readiness = Readiness()
    for number, finding in enumerate(findings):

        async def probe(finding=finding):
            if isinstance(finding, Exception):
                raise finding
            return finding

        readiness.add(str(number), probe)
    return await readiness.report()


async def test_what_is_missing_is_told_without_failing():
    report = await report_of(Finding("ok"), Finding("degraded", "no model is loaded"))
    assert report.status == "degraded"
    assert report.checks["1"].detail == "no model is loaded"


async def test_a_probe_that_breaks_counts_as_failed():
    report = await report_of(Finding("ok"), RuntimeError("first line\nsecond line"))
    assert report.status == "unavailable"
    assert report.checks["1"] == Finding("failed", "first line")


async def test_the_version_is_for_callers_with_a_credential(llm_api, register):
    person = await register("user")
    for prefix in ("", "/llm"):
        answer = await llm_api.get(f"{prefix}/v1/version", headers=person.headers)
        assert answer.status_code == 200
        assert answer.json()["version"] == __version__
        assert datetime.fromisoformat(answer.json()["env_reloaded_at"]).tzinfo
        assert (await llm_api.get(f"{prefix}/v1/healthz", headers=person.headers)).json() == {"status": "ok"}
        assert (await llm_api.get(f"{prefix}/v1/readyz", headers=person.headers)).status_code in (200, 503)


async def test_metrics_are_in_prometheus_format(llm_api):
    await llm_api.post("/auth/guest-login")
    await llm_api.get("/no/such/path")
    answer = await llm_api.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'jan_llm_api_auth_requests_total{auth_type="guest",status="ok"}' in answer.text
    assert 'endpoint="/auth/guest-login"' in answer.text
    assert "/no/such/path" not in answer.text


async def test_the_documentation_is_served(llm_api):
    document = (await llm_api.get("/api/swagger/doc.json")).json()
    paths = document["paths"]
    for path in ("/auth/guest-login", "/auth/api-keys", "/auth/validate-api-key", "/v1/version", "/readyz"):
        assert path in paths
    assert not any(path.startswith("/llm/") for path in paths)
    body = document["components"]["schemas"]["NewApiKey"]
    assert set(body["properties"]) >= {"name", "expires_in", "expires_in_days"}
    assert (await llm_api.get("/api/swagger")).status_code == 200


async def test_the_document_says_which_routes_need_a_credential(llm_api):
    document = (await llm_api.get("/api/swagger/doc.json")).json()
    schemes = document["components"]["securitySchemes"]
    assert {(scheme["type"], scheme.get("name")) for scheme in schemes.values()} == {
        ("http", None),
        ("apiKey", "X-API-Key"),
    }
    assert "/auth/guest-login" in document["info"]["description"]
    assert "/metrics" not in document["paths"]
    wrong = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answer = await llm_api.request(method, re.sub(r"{[^}]*}", "1", path), json={})
            refused = answer.status_code == 401 and "Authorization: Bearer" in answer.text
            if refused != ("security" in operation):
                wrong.append((method, path, answer.status_code))
    assert wrong == []
    used = {
        tag
        for operations in document["paths"].values()
        for each in operations.values()
        for tag in each["tags"]
    }
    assert used <= {tag["name"] for tag in document["tags"]}


@pytest.mark.parametrize("path", ["/nowhere", "/auth/nowhere", "/llm", "/v1/nowhere"])
async def test_unknown_paths_and_wrong_methods_are_not_found(llm_api, path):
    assert (await llm_api.get(path)).status_code == 404
    assert (await llm_api.put("/auth/me")).status_code == 404
