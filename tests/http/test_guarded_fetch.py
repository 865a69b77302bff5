"""What users name is fetched from the public internet only, whatever way it leads elsewhere.

There is no public internet here: 127.0.0.1 plays it, as a network that the operator allows, while
127.0.0.2 is as private as ever. Names are resolved by a table.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from jan_server.http.guarded_fetch import FetchFailed, FetchLimits, FetchRefused, GuardedFetcher
from jan_server.http.public_addresses import is_public

PUBLIC = ("127.0.0.1/32",)


class TableResolver(AbstractResolver):
    """Names by a table; a name with several answers gives them in turn."""

    def __init__(self, **names: list[list[str]]) -> None:
        self._answers = {name.replace("_", "."): iter(answers) for name, answers in names.items()}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = next(self._answers[host], None) if host in self._answers else None
        if found is None:
            raise OSError("no such name")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        pass


class Site:
    """A web site on every loopback address, which remembers what it was asked."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[web.Request] = []
        self.reached: list[str] = []

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.asked]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        self.reached.append(request.get_extra_info("sockname")[0])
        if to := request.query.get("to"):
            return web.Response(status=int(request.query.get("status", "302")), headers={"Location": to})
        match request.path:
            case "/loop":
                return web.Response(status=302, headers={"Location": "/loop"})
            case "/endless":
                response = web.StreamResponse()
                await response.prepare(request)
                while True:
                    await response.write(b"x" * 65536)
            case "/drip":
                response = web.StreamResponse()
                await response.prepare(request)
                while True:
                    await response.write(b"x")
                    await asyncio.sleep(0.01)
            case "/bomb":
                packed = gzip.compress(bytes(50 * 2**20))
                return web.Response(body=packed, headers={"Content-Encoding": "gzip"})
            case "/long":
                return web.Response(body=b"x" * 5000)
        return web.Response(body=b"hello", content_type="image/png")


@pytest.fixture(scope="module")
async def the_site() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.serve)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listener = web.TCPSite(runner, "0.0.0.0", 0)
    await listener.start()
    site.port = runner.addresses[0][1]
    yield site
    await runner.cleanup()


@pytest.fixture
def site(the_site: Site) -> Iterator[Site]:
    the_site.asked.clear()
    the_site.reached.clear()
    return the_site


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001::1",
        "2001:db8::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_of_special_use_are_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]
)
def test_other_addresses_are_public(text: str) -> None:
    assert is_public(ip_address(text))


async def test_a_public_address_is_fetched(site: Site) -> None:
    async with GuardedFetcher(PUBLIC) as fetcher:
        found = await fetcher.fetch(site.url("/picture?size=1"), headers={"X-Mark": "a"})
    assert (found.status, found.body, found.content_type) == (200, b"hello", "image/png")
    assert found.url == site.url("/picture?size=1")
    assert site.asked[0].headers["X-Mark"] == "a"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "127.1",
        "127.000.000.001",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "%31%32%37.0.0.1",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
    ],
)
async def test_this_machine_is_refused_however_it_is_written(site: Site, host: str) -> None:
    async with GuardedFetcher() as fetcher:
        with pytest.raises(FetchRefused):
            await fetcher.fetch(site.url(host=host))
    assert not site.asked


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "data:text/plain,hi",
        "javascript:alert(1)",
        "//127.0.0.1/",
        "127.0.0.1",
        "http://",
        "http:///path",
        "http://user:secret@127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://[::1",
        "",
    ],
)
async def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    async with GuardedFetcher(PUBLIC) as fetcher:
        with pytest.raises(FetchRefused):
            await fetcher.fetch(url)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.2"], ["10.0.0.1", "127.0.0.2"], ["::1"], ["::ffff:127.0.0.2"]]
)
async def test_a_name_that_leads_inside_is_refused(site: Site, addresses: list[str]) -> None:
    resolver = TableResolver(inside_example=[addresses])
    async with GuardedFetcher(PUBLIC, resolver=resolver) as fetcher:
        with pytest.raises(FetchRefused, match=r"inside\.example"):
            await fetcher.fetch(site.url(host="inside.example"))
    assert not site.asked


async def test_of_several_addresses_only_public_ones_are_used(site: Site) -> None:
    resolver = TableResolver(mixed_example=[["127.0.0.2", "127.0.0.1"]])
    async with GuardedFetcher(PUBLIC, resolver=resolver) as fetcher:
        assert (await fetcher.fetch(site.url(host="mixed.example"))).body == b"hello"
    assert site.reached == ["127.0.0.1"]


async def test_a_name_that_changes_its_mind_is_checked_where_it_leads_each_time(site: Site) -> None:
    resolver = TableResolver(rebinding_example=[["127.0.0.1"], ["127.0.0.2"]])
    async with GuardedFetcher(PUBLIC, resolver=resolver) as fetcher:
        # Resolved once, connected to that: the second answer is for the second connection.
        assert (await fetcher.fetch(site.url("/a", host="rebinding.example"))).body == b"hello"
        await close_kept_connections(fetcher)
        with pytest.raises(FetchRefused):
            await fetcher.fetch(site.url("/b", host="rebinding.example"))
    assert site.paths == ["/a"]


async def test_a_resolver_that_lies_about_its_check_is_stopped_at_the_socket(site: Site) -> None:
    """Whatever stands between name and connection, the address of the connection itself is what counts."""
    resolver = TableResolver(late_example=[["127.0.0.2"]])
    async with GuardedFetcher(PUBLIC, resolver=resolver) as fetcher:
        assert fetcher._sessions is not None
        connector = fetcher._sessions[0].connector
        connector._resolver = resolver  # type: ignore[union-attr]  # past the check of names
        with pytest.raises(FetchRefused):
            await fetcher.fetch(site.url(host="late.example"))
    assert not site.asked


async def close_kept_connections(fetcher: GuardedFetcher) -> None:
    assert fetcher._sessions is not None
    connector = fetcher._sessions[0].connector
    assert connector is not None
    for kept in connector._conns.values():
        for protocol, _ in kept:
            protocol.close()
    connector._conns.clear()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed_to_public_addresses(site: Site, status: int) -> None:
    resolver = TableResolver(other_example=[["127.0.0.1"]])
    async with GuardedFetcher(PUBLIC, resolver=resolver) as fetcher:
        target = site.url("/there", host="other.example")
        found = await fetcher.fetch(site.url(f"/?status={status}&to={target}"))
    assert (found.body, found.url) == (b"hello", target)


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.2:{port}/",
        "http://[::1]:{port}/",
        "http://2130706434:{port}/",
        "http://inside.example:{port}/",
        "//127.0.0.2:{port}/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://a:b@127.0.0.1:{port}/",
    ],
)
async def test_a_redirect_inside_is_refused(site: Site, target: str) -> None:
    resolver = TableResolver(inside_example=[["127.0.0.2"]])
    async with GuardedFetcher(PUBLIC, resolver=resolver) as fetcher:
        with pytest.raises(FetchRefused):
            await fetcher.fetch(site.url("/?to=" + target.format(port=site.port)))
    assert len(site.asked) == 1


async def test_redirects_come_to_an_end(site: Site) -> None:
    async with GuardedFetcher(PUBLIC) as fetcher:
        with pytest.raises(FetchFailed, match="more than 3 times"):
            await fetcher.fetch(site.url("/loop"), limits=FetchLimits(redirects=3))
    assert len(site.asked) == 4


async def test_a_redirect_elsewhere_takes_no_credentials_along(site: Site) -> None:
    resolver = TableResolver(other_example=[["127.0.0.1"]])
    sent = {"Authorization": "Bearer x", "Cookie": "a=b", "X-API-Key": "k", "Accept": "image/*"}
    async with GuardedFetcher(PUBLIC, resolver=resolver) as fetcher:
        await fetcher.fetch(site.url("/?to=/same"), headers=sent)
        await fetcher.fetch(site.url("/?to=" + site.url("/other", host="other.example")), headers=sent)
    same, other = site.asked[1], site.asked[3]
    assert (same.path, same.headers["Authorization"]) == ("/same", "Bearer x")
    assert (other.path, other.headers["Accept"]) == ("/other", "image/*")
    assert not {"Authorization", "Cookie", "X-API-Key"} & other.headers.keys()


async def test_what_sends_something_follows_no_redirect(site: Site) -> None:
    async with GuardedFetcher(PUBLIC) as fetcher:
        found = await fetcher.fetch(site.url("/hook"), method="POST", body=b"{}")
        assert (found.status, site.asked[0].method) == (200, "POST")
        with pytest.raises(FetchFailed, match="redirects"):
            await fetcher.fetch(site.url("/?status=307&to=/hook"), method="POST", body=b"{}")


@pytest.mark.parametrize("path", ["/endless", "/long", "/bomb"])
async def test_a_body_without_end_is_cut_off(site: Site, path: str) -> None:
    async with GuardedFetcher(PUBLIC) as fetcher:
        with pytest.raises(FetchFailed, match="larger than 4000 bytes"):
            await fetcher.fetch(site.url(path), limits=FetchLimits(size=4000))


async def test_a_slow_answer_is_given_up(site: Site) -> None:
    async with GuardedFetcher(PUBLIC) as fetcher:
        with pytest.raises(FetchFailed, match=r"within 0\.2 seconds"):
            await fetcher.fetch(site.url("/drip"), limits=FetchLimits(seconds=0.2))


async def test_what_does_not_answer_is_said() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    async with GuardedFetcher(PUBLIC, resolver=TableResolver()) as fetcher:
        with pytest.raises(FetchFailed, match="connection was refused"):
            await fetcher.fetch(f"http://127.0.0.1:{port}/")
        with pytest.raises(FetchFailed, match="name is not known"):
            await fetcher.fetch("http://nobody.example/")


async def test_proxies_of_the_environment_are_not_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.2:9")
    async with GuardedFetcher(PUBLIC) as fetcher:
        assert (await fetcher.fetch(site.url())).body == b"hello"


async def test_this_installations_own_urls_are_trusted(site: Site) -> None:
    own = site.url("/api/media/", host="localhost")
    async with GuardedFetcher(trusted=[own]) as fetcher:
        assert (await fetcher.fetch(own + "jan_1")).body == b"hello"
    assert site.paths == ["/api/media/jan_1"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/secrets",
        "/api/media",
        "/api/media/../secrets",
        "/api/media/%2e%2e/secrets",
        "/api/media/..%2fsecrets",
        "/api/media/a%5c..%5csecrets",
    ],
)
async def test_trust_ends_where_the_own_urls_end(site: Site, path: str) -> None:
    async with GuardedFetcher(trusted=[site.url("/api/media/", host="localhost")]) as fetcher:
        for host in ("localhost", "127.0.0.1"):
            with pytest.raises(FetchRefused):
                await fetcher.fetch(site.url(path, host=host))
    assert not site.asked


async def test_a_redirect_never_profits_from_trust(site: Site) -> None:
    own = site.url("/api/media/", host="localhost")
    async with GuardedFetcher(PUBLIC, trusted=[own]) as fetcher:
        with pytest.raises(FetchRefused):
            await fetcher.fetch(own + "jan_1?to=http://127.0.0.2/")
    async with GuardedFetcher(("127.0.0.1/32",), trusted=[own.replace("localhost", "127.0.0.2")]) as fetcher:
        with pytest.raises(FetchRefused):
            await fetcher.fetch(site.url("/?to=" + own.replace("localhost", "127.0.0.2") + "jan_1"))


def test_a_network_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="10"):
        GuardedFetcher(["10.0.0.0/99"])
