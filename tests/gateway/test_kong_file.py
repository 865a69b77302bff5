"""Reading a Kong file: what it may say, and that anything else is refused by its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from jan_server.gateway.fields import KongFileError
from jan_server.gateway.kong_file import load, parse

WHOLE = """
_format_version: "3.0"
_transform: true
services:
  - name: one
    url: http://one.example:8080/base
    tags: [a]
    routes:
      - name: one-route
        paths: [/one, "~/uno/(?<rest>.*)"]
        plugins:
          - name: rate-limiting
            config: {minute: 5, policy: local}
    plugins:
      - name: request-termination
        enabled: false
  - name: two
    host: pool
    protocol: http
    connect_timeout: 100
    read_timeout: 2500
routes:
  - name: two-route
    service: {name: two}
    hosts: ["*.example.org"]
    headers: {X-Version: [v1]}
upstreams:
  - name: pool
    targets:
      - {target: "a.example:81", weight: 3}
      - {target: b.example}
consumers:
  - username: somebody
    id: 11111111-1111-1111-1111-111111111111
plugins:
  - name: correlation-id
  - name: ip-restriction
    service: two
    consumer: 11111111-1111-1111-1111-111111111111
    config: {deny: [10.0.0.0/8]}
"""


def test_a_file_is_read_into_entities() -> None:
    file = parse(WHOLE)
    one, two = file.services["one"], file.services["two"]
    assert (one.host, one.port, one.path, one.retries) == ("one.example", 8080, "/base", 5)
    assert (two.connect_seconds, two.read_seconds, two.write_seconds) == (0.1, 2.5, 60)
    assert [(route.name, route.service) for route in file.routes] == [
        ("one-route", "one"),
        ("two-route", "two"),
    ]
    assert [(target.host, target.port, target.weight) for target in file.upstreams["pool"].targets] == [
        ("a.example", 81, 3),
        ("b.example", 8000, 100),
    ]
    attached = [(each.name, each.service, each.route, each.consumer) for each in file.plugins]
    assert attached == [
        ("rate-limiting", "", "one-route", ""),
        ("correlation-id", "", "", ""),
        ("ip-restriction", "two", "", "somebody"),
    ]


def wrong(text: str, *, version: bool = True) -> str:
    with pytest.raises(KongFileError) as caught:
        parse(('_format_version: "3.0"\n' if version else "") + text)
    return str(caught.value)


ROUTED = """
services:
  - name: a
    host: a.example
  - name: b
    host: b.example
    routes:
      - name: r
        paths: [/r]
        plugins:
          - name: cors
          - name: {plugin}
            config: {config}
"""


@pytest.mark.parametrize(
    ("plugin", "config", "words"),
    [
        ("request-size-limiting", "{foo: 1}", "services[1].routes[0].plugins[1].config.foo: unknown field"),
        ("rate-limiting", "{minut: 1}", "did you mean 'minute'"),
        ("rate-limiting", "{minute: 0}", "config.minute: 0 must be greater than 0"),
        ("rate-limiting", "{minute: 10, hour: 5}", "config.hour: the limit per hour (5) cannot be lower"),
        ("rate-limiting", "{minute: 1, policy: cluster}", "config.policy: 'cluster' is not supported here"),
        ("rate-limiting", "{minute: 1, policy: redis}", "config.redis_host: policy: redis needs it"),
        ("oauth2", "{}", "services[1].routes[0].plugins[1].name: the plugin 'oauth2' is not supported"),
        ("ip-restriction", "{}", "at least one of allow or deny"),
        ("ip-restriction", "{allow: [300.0.0.1]}", "config.allow[0]: '300.0.0.1' is not an address"),
        (
            "request-transformer",
            "{add: {headers: [nothing]}}",
            "config.add.headers[0]: 'nothing' is not of the form",
        ),
        (
            "request-transformer",
            '{add: {headers: ["a:$(os.exit())"]}}',
            "config.add.headers[0]: not supported",
        ),
        ("jwt", "{}", "plugins[1]: jwt needs at least one credential"),
        ("jwt", "{secret_is_base64: true}", "config.secret_is_base64: not supported"),
        ("jwt", "{key_claim_name: kid}", "config.key_claim_name"),
        ("request-termination", "{message: a, body: b}", "message cannot stand beside body"),
        ("cors", "{origins: ['(']}", "config.origins[0]: not a regular expression"),
    ],
)
def test_a_plugin_that_cannot_run_is_named_by_its_place(plugin: str, config: str, words: str) -> None:
    assert words in wrong(ROUTED.replace("{plugin}", plugin).replace("{config}", config))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("certificates: [{cert: a}]", "certificates: unknown field"),
        ("keyauth_credentials: []", "keyauth_credentials: unknown field"),
        ("services: [{name: a}]", "services[0].host: a text is required here"),
        ("services: [{name: a, host: h, protocol: grpc}]", "services[0].protocol: 'grpc' is not supported"),
        ("services: [{name: a, host: h, port: '80'}]", "services[0].port: a whole number is expected"),
        (
            "services: [{name: a, host: h}, {name: a, host: h}]",
            "services[1].name: there is already a service",
        ),
        ("services: [{name: a, url: 'ftp://h'}]", "services[0].url"),
        (
            "services: [{name: a, host: h, routes: [{name: r}]}]",
            "services[0].routes[0]: a route needs at least",
        ),
        (
            "services: [{name: a, host: h, routes: [{paths: [v1]}]}]",
            "routes[0].paths[0]: 'v1' must begin with /",
        ),
        (
            "services: [{name: a, host: h, routes: [{paths: ['~/(']}]}]",
            "routes[0].paths[0]: '~/(' is not a regular",
        ),
        (
            "services: [{name: a, host: h, routes: [{paths: [/], snis: [x]}]}]",
            "routes[0].snis: not supported",
        ),
        ("services: [{name: a, host: h, routes: [{paths: [/], path_handling: v2}]}]", "path_handling: 'v2'"),
        ("services: [{name: a, host: h, routes: [{hosts: ['*']}]}]", "routes[0].hosts[0]: '*' is not"),
        ("services: [{name: a, host: h, routes: [{methods: [get]}]}]", "routes[0].methods[0]: 'get' is not"),
        ("routes: [{paths: [/], service: nowhere}]", "routes[0].service: there is no service 'nowhere'"),
        ("plugins: [{name: cors, route: nowhere}]", "plugins[0].route: there is no route 'nowhere'"),
        (
            "plugins: [{name: cors}, {name: cors}]",
            "plugins[1]: cors is already attached there, at plugins[0]",
        ),
        ("plugins: [{name: cors, protocols: [https]}]", "plugins[0].protocols"),
        ("plugins: [{name: cors, ordering: {before: {}}}]", "plugins[0].ordering: not supported"),
        ("consumers: [{tags: [a]}]", "consumers[0]: a consumer needs a username"),
        ("consumers: [{username: c, acls: []}]", "consumers[0].acls: unknown field"),
        (
            "consumers: [{username: c, jwt_secrets: [{key: k}]}]",
            "jwt_secrets[0].algorithm: 'HS256' is not supported",
        ),
        (
            "consumers: [{username: c, jwt_secrets: [{key: k, algorithm: RS256, rsa_public_key: no}]}]",
            "jwt_secrets[0].rsa_public_key: a text is expected",
        ),
        (
            "consumers: [{username: c, jwt_secrets: [{key: k, algorithm: RS256, rsa_public_key: 'x'}]}]",
            "jwt_secrets[0].rsa_public_key: not a public key in PEM",
        ),
        ("upstreams: [{name: u}]", "upstreams[0].targets: at least one target"),
        ("upstreams: [{name: u, algorithm: least-connections}]", "upstreams[0].algorithm"),
        ("upstreams: [{name: u, healthchecks: {active: {}}}]", "upstreams[0].healthchecks: not supported"),
        ("services: [a", "not YAML"),
        ("[]", "not YAML"),
    ],
)
def test_an_entity_or_field_that_is_not_executed_is_named_by_its_place(text: str, words: str) -> None:
    assert words in wrong(text)


def test_another_format_is_refused() -> None:
    assert "_format_version" in wrong('_format_version: "1.1"', version=False)
    assert "a mapping is expected here" in wrong("- a", version=False)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KongFileError, match=r"kong\.yml cannot be read"):
        load(tmp_path / "kong.yml")


def test_what_is_switched_off_is_not_there() -> None:
    text = """
    _format_version: "3.0"
    services:
      - {name: a, host: h, enabled: false, routes: [{paths: [/a]}]}
      - {name: b, host: h, routes: [{paths: [/b], plugins: [{name: cors, enabled: false}]}]}
    """
    file = parse(text)
    assert (list(file.services), len(file.routes), file.plugins) == (["b"], 1, ())
