"""Which endpoint gets the next request."""

from __future__ import annotations

from collections import Counter

from jan_server.inference.provider import Endpoint, Provider
from jan_server.inference.selection import LONGEST_REST_SECONDS, EndpointSelector


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def provider(*endpoints: Endpoint) -> Provider:
    return Provider(id="prov_test", name="Test", endpoints=endpoints)


def urls(selector: EndpointSelector, asked: Provider, times: int) -> list[str]:
    return [endpoint.url for _ in range(times) if (endpoint := selector.choose(asked))]


def test_requests_are_shared_by_weight_and_interleaved() -> None:
    asked = provider(Endpoint("a", weight=3), Endpoint("b", weight=1), Endpoint("c", weight=0))
    chosen = urls(EndpointSelector(), asked, 40)
    assert Counter(chosen) == {"a": 30, "b": 10}
    assert chosen[:4] == ["a", "a", "b", "a"]


def test_a_worse_priority_waits_until_the_better_ones_fail() -> None:
    first, second = Endpoint("a", priority=0), Endpoint("b", priority=1)
    asked, selector = provider(second, first), EndpointSelector()
    assert set(urls(selector, asked, 5)) == {"a"}
    selector.failed(asked, first)
    assert set(urls(selector, asked, 5)) == {"b"}
    selector.succeeded(asked, first)
    assert set(urls(selector, asked, 5)) == {"a"}


def test_a_failed_endpoint_rests_and_one_request_tries_it_afterwards() -> None:
    clock = Clock()
    a, b = Endpoint("a"), Endpoint("b")
    asked, selector = provider(a, b), EndpointSelector(clock)
    selector.failed(asked, a)
    assert not selector.is_healthy(asked, a)
    assert urls(selector, asked, 6) == ["b"] * 6
    clock.now += 1.1
    assert Counter(urls(selector, asked, 6))["a"] == 1
    selector.succeeded(asked, a)
    assert Counter(urls(selector, asked, 6)) == {"a": 3, "b": 3}


def test_the_rest_grows_with_every_failure_up_to_a_limit() -> None:
    clock = Clock()
    a, b = Endpoint("a"), Endpoint("b")
    asked, selector = provider(a, b), EndpointSelector(clock)
    for _ in range(30):
        selector.failed(asked, a)
    clock.now += LONGEST_REST_SECONDS / 2 - 0.1
    assert urls(selector, asked, 4) == ["b"] * 4
    clock.now += LONGEST_REST_SECONDS / 2 + 0.2
    assert "a" in urls(selector, asked, 4)


def test_resting_endpoints_are_used_when_nothing_else_is_left() -> None:
    a, b = Endpoint("a"), Endpoint("b")
    asked, selector = provider(a, b), EndpointSelector()
    selector.failed(asked, a)
    selector.failed(asked, b)
    assert Counter(urls(selector, asked, 4)) == {"a": 2, "b": 2}


def test_endpoints_out_of_the_question_are_not_chosen() -> None:
    asked, selector = provider(Endpoint("a"), Endpoint("b")), EndpointSelector()
    chosen = selector.choose(asked, ["a"])
    assert chosen is not None and chosen.url == "b"
    assert selector.choose(asked, ["a", "b"]) is None


def test_health_survives_a_changed_record_and_ends_with_the_provider() -> None:
    selector, asked = EndpointSelector(), provider(Endpoint("a"))
    selector.failed(asked, Endpoint("a"))
    renamed = Provider(id="prov_test", name="Renamed", endpoints=(Endpoint("a", weight=5),))
    assert not selector.is_healthy(renamed, renamed.endpoints[0])
    selector.forget({"prov_other"})
    assert selector.is_healthy(renamed, renamed.endpoints[0])


def test_a_provider_rests_when_all_its_endpoints_do_and_one_request_tries_it() -> None:
    clock, endpoint = Clock(), Endpoint("a")
    asked, selector = provider(endpoint), EndpointSelector(clock)
    assert not selector.rests(asked)
    selector.failed(asked, endpoint)
    assert selector.rests(asked)
    clock.now += LONGEST_REST_SECONDS
    assert not selector.rests(asked)
    selector.try_again(asked)
    assert selector.rests(asked)
    selector.succeeded(asked, endpoint)
    assert not selector.rests(asked)
    several = provider(Endpoint("b"), Endpoint("c"))
    selector.failed(several, several.endpoints[0])
    assert not selector.rests(several)
