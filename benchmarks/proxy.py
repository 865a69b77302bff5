"""Gateway → JWT check → llm-api → upstream, against a bare proxy before the same upstream."""

from __future__ import annotations

from benchmarks.comparison import CONNECTIONS, Comparison, Length, Side, compare, latency, throughput
from benchmarks.constant_upstream import FRAMES
from benchmarks.load import chat_request
from benchmarks.platform import Servers


async def measure(servers: Servers, length: Length) -> list[Comparison]:
    """Chats that nothing is kept of, on servers that are up."""

    def sides(stream: bool) -> tuple[Side, Side]:
        bare = chat_request(servers.bare, model=servers.model, stream=stream)
        platform = chat_request(
            servers.platform.gateway, token=servers.platform.token, model=servers.model, stream=stream
        )
        return Side(servers.bare, servers.bare_process, lambda: [bare]), Side(
            servers.platform.gateway, servers.platform.process, lambda: [platform]
        )

    plain, streamed = sides(stream=False), sides(stream=True)
    return [
        await compare(
            f"throughput, {CONNECTIONS} connections",
            "requests/s",
            plain,
            throughput,
            connections=CONNECTIONS,
            length=length,
            target="ratio >= 0.30",
        ),
        await compare(
            "median latency, 1 connection",
            "ms",
            plain,
            latency,
            connections=1,
            length=length,
            target="added <= 0.5 ms",
        ),
        await compare(
            f"streams of {FRAMES} frames, {CONNECTIONS} connections",
            "frames/s",
            streamed,
            lambda result: result.frames_per_second,
            connections=CONNECTIONS,
            length=length,
            target="ratio >= 0.50",
        ),
    ]
