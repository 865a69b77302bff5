"""What a running llama.cpp engine says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

import orjson

from jan_server.inference.engines.llamacpp import HEALTH_PATH

_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The state of an engine.

    Attributes:
        address: Where it was asked.
        ready: Whether it answers requests.
        detail: `healthy`, or what is wrong.
        model: The id of its model.
        context_length: Tokens that one request may have.
        slots: Requests that it can answer at the same time.
        busy: Requests that it is answering.
    """

    address: str
    ready: bool
    detail: str
    model: str = ""
    context_length: int = 0
    slots: int = 0
    busy: int = 0


def engine_status(address: str, api_key: str = "") -> EngineStatus:
    """Ask the engine at `address` (`http://host:port`) how it is."""
    try:
        _get(address, HEALTH_PATH, "")
        models = _get(address, "/v1/models", api_key)["data"]
        slots = _get(address, "/slots", api_key)
        return EngineStatus(
            address=address,
            ready=True,
            detail="healthy",
            model=models[0]["id"] if models else "",
            context_length=slots[0]["n_ctx"] if slots else 0,
            slots=len(slots),
            busy=sum(bool(slot["is_processing"]) for slot in slots),
        )
    except HTTPError as error:
        words = {401: "it refuses the key of inference.llamacpp.api_key", 503: "it is loading its model"}
        return EngineStatus(address, ready=False, detail=words.get(error.code, f"it answers {error.code}"))
    except URLError as error:
        refused = isinstance(error.reason, ConnectionRefusedError)
        return EngineStatus(
            address, ready=False, detail="nothing listens there" if refused else str(error.reason)
        )
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        return EngineStatus(address, ready=False, detail="what listens there is no llama.cpp server")


def _get(address: str, path: str, api_key: str) -> Any:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    opener = build_opener(ProxyHandler({}))
    with opener.open(Request(address + path, headers=headers), timeout=_SECONDS) as response:  # noqa: S310
        return orjson.loads(response.read())
