"""Asking a remote provider for its models, to see that its address and its key are right."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

TIMEOUT_SECONDS = 10.0
LARGEST_ANSWER = 8 * 1024 * 1024


class ProviderUnusable(Exception):
    """The provider cannot be used as it stands; the message says why and what may help."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host; it is shown instead of followed."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


def list_models(url: str, api_key: str = "", timeout: float = TIMEOUT_SECONDS) -> tuple[str, ...]:
    """Ask `GET {url}/models`, as OpenAI's clients do.

    Args:
        url: Address of the provider, up to and including /v1.
        api_key: Sent as a bearer token where it is not empty.
        timeout: Longest wait, in seconds.

    Returns:
        The ids of the models; at least one.

    Raises:
        ProviderUnusable: It does not answer, refuses the key, or lists no models.
    """
    if not url.startswith(("http://", "https://")):
        raise ProviderUnusable(f"{url} is no address: it must begin with http:// or https://")
    headers = {"Accept": "application/json", "User-Agent": "jan-server"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    address = url.rstrip("/") + "/models"
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        request = urllib.request.Request(address, headers=headers)  # noqa: S310 - checked above
        with opener.open(request, timeout=timeout) as answer:
            body = answer.read(LARGEST_ANSWER)
    except urllib.error.HTTPError as error:
        raise ProviderUnusable(_refusal(url, address, error)) from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ProviderUnusable(f"{address} does not answer: {reason}") from None
    return _ids(address, body)


def _refusal(url: str, address: str, error: urllib.error.HTTPError) -> str:
    if error.code in (401, 403):
        return f"{address} refuses the key (HTTP {error.code})"
    if 300 <= error.code < 400:
        target = error.headers.get("Location", "another address")
        return f"{address} redirects to {target}; give that one instead"
    if error.code == 404 and not url.rstrip("/").endswith("/v1"):
        return f"{address} does not exist (HTTP 404); the address probably ends with /v1"
    return f"{address} answers with HTTP {error.code}"


def _ids(address: str, body: bytes) -> tuple[str, ...]:
    try:
        models = json.loads(body)["data"]
        ids = tuple(str(model["id"]) for model in models)
    except (ValueError, KeyError, TypeError):
        raise ProviderUnusable(f"{address} does not answer as OpenAI's list of models does") from None
    if not ids:
        raise ProviderUnusable(f"{address} lists no models")
    return ids
