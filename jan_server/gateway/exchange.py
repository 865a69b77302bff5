"""One request on its way through the gateway, and the head of its response on the way back."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from jan_server.authentication.principal import Principal
from jan_server.gateway.entities import Consumer
from jan_server.gateway.rejection import Reply

if TYPE_CHECKING:
    from jan_server.gateway.pipeline import Plan
    from jan_server.gateway.router import Match

Header = tuple[bytes, bytes]


class Exchange:
    """A request between client and upstream. Plugins read it and change what will be sent.

    Attributes:
        scope: The connection as the server gave it.
        method: What the upstream is asked with; `GET` for a WebSocket.
        given: The client's headers by lower-case name; identity headers are not among them.
        headers: What will be sent to the upstream.
        match: The route and what follows from it.
        plan: The plugins of the route.
        client_ip: The address of the client, which a trusted proxy may have told.
        scheme: `http` or `https`, as the client used it.
        kong_id: The id that this gateway made, `X-Kong-Request-Id`.
        request_id: The id in every log line and error body about this request: the correlation
            id where there is one.
        upstream_path: The path to ask for, percent-encoded; None for the matched one.
        query: The query string to ask with.
        principal: Whom a verified credential speaks for.
        consumer: The consumer of the file that the credential belongs to.
        credential_id: What tells this credential from others of the same consumer.
        response_headers: Headers to set on the response, whatever the upstream says.
        refusal: A reply that replaces the upstream's, decided while the body was arriving.
        receive: The source of the request's body.
        gone: Whether the client was seen to go away.
        notes: What a plugin keeps from the request for the response, by plugin.
    """

    __slots__ = (
        "client_ip",
        "consumer",
        "credential_id",
        "given",
        "gone",
        "headers",
        "kong_id",
        "match",
        "method",
        "notes",
        "plan",
        "principal",
        "query",
        "receive",
        "refusal",
        "request_id",
        "response_headers",
        "scheme",
        "scope",
        "upstream_path",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        *,
        match: Match,
        plan: Plan,
        given: MutableMapping[bytes, bytes],
        headers: list[Header],
        client_ip: str,
        scheme: str,
        kong_id: str,
    ) -> None:
        self.scope = scope
        self.method: str = scope.get("method", "GET")
        self.given = given
        self.headers = headers
        self.match = match
        self.plan = plan
        self.client_ip = client_ip
        self.scheme = scheme
        self.kong_id = kong_id
        self.request_id = kong_id
        self.upstream_path: str | None = None
        self.query: bytes = scope.get("query_string", b"")
        self.principal: Principal | None = None
        self.consumer: Consumer | None = None
        self.credential_id = ""
        self.response_headers: list[Header] = []
        self.refusal: Reply | None = None
        self.receive = receive
        self.gone = False
        self.notes: dict[object, Any] = {}

    @property
    def is_websocket(self) -> bool:
        """Whether the client asked for a WebSocket."""
        return bool(self.scope["type"] == "websocket")

    @property
    def has_body(self) -> bool:
        """Whether the request announces a body."""
        return self.given.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in self.given

    def query_parameters(self) -> list[tuple[str, str]]:
        """The parameters of the query, decoded, in order."""
        return parse_qsl(self.query.decode("latin-1"), keep_blank_values=True) if self.query else []

    def set_header(self, name: bytes, value: bytes) -> None:
        """Send this header and no other of its name to the upstream."""
        self.remove_header(name)
        self.headers.append((name, value))

    def remove_header(self, name: bytes) -> None:
        """Send no header of this name to the upstream."""
        self.headers[:] = [header for header in self.headers if header[0] != name]

    async def body(self) -> bytes:
        """The whole body; it can be read by others afterwards.

        Returns:
            What arrived; less than the whole when the client went away.
        """
        parts = []
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                break
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                break
        body = b"".join(parts)
        self.replace_body(body)
        return body

    def replace_body(self, body: bytes) -> None:
        """Send this body instead of the client's."""
        source = self.receive
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Any:
            return pending.pop() if pending else await source()

        self.receive = replay


class ResponseHead:
    """Status and headers of a response before they are sent."""

    __slots__ = ("headers", "status")

    def __init__(self, status: int, headers: list[Header]) -> None:
        self.status = status
        self.headers = headers

    def get(self, name: bytes) -> bytes | None:
        """The value of the first header of this name."""
        for known, value in self.headers:
            if known == name:
                return value
        return None

    def set(self, name: bytes, value: bytes) -> None:
        """Make this the only header of its name."""
        self.remove(name)
        self.headers.append((name, value))

    def set_all(self, headers: list[Header]) -> None:
        """Make these the only headers of their names."""
        names = {name for name, _ in headers}
        self.headers[:] = [header for header in self.headers if header[0] not in names]
        self.headers += headers

    def add(self, name: bytes, value: bytes) -> None:
        """Add a header beside those of the same name."""
        self.headers.append((name, value))

    def remove(self, name: bytes) -> None:
        """Drop all headers of this name."""
        for known, _ in self.headers:
            if known == name:
                self.headers[:] = [header for header in self.headers if header[0] != name]
                return
