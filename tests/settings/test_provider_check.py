"""A remote provider is asked for its models, and every way to fail has its words."""

from collections.abc import Iterator
from typing import Any

import pytest

from jan_server.settings.provider_check import ProviderUnusable, list_models
from tests.doubles.model_list import ModelListDouble, model_list_double


@pytest.fixture
def provider() -> Iterator[ModelListDouble]:
    with model_list_double() as double:
        yield double


def test_the_models_of_a_working_provider(provider: ModelListDouble) -> None:
    assert list_models(provider.url, "right-key") == ("model-a", "model-b")
    assert list_models(provider.url + "/", "right-key") == ("model-a", "model-b")


def test_no_key_sends_no_header(provider: ModelListDouble) -> None:
    provider.key = ""

    list_models(provider.url)
    assert provider.authorizations == [None]


def test_a_wrong_key_is_told(provider: ModelListDouble) -> None:
    with pytest.raises(ProviderUnusable, match="refuses the key"):
        list_models(provider.url, "wrong")


def test_a_forgotten_v1_is_guessed(provider: ModelListDouble) -> None:
    with pytest.raises(ProviderUnusable, match="probably ends with /v1"):
        list_models(provider.url.removesuffix("/v1"), "right-key")


def test_a_redirect_is_shown_and_the_key_is_not_carried_along(provider: ModelListDouble) -> None:
    with model_list_double() as elsewhere:
        provider.status, provider.headers = 302, {"Location": elsewhere.url + "/models"}
        with pytest.raises(ProviderUnusable, match="give that one instead"):
            list_models(provider.url, "right-key")

        assert elsewhere.authorizations == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "does not answer as OpenAI's list"),
        ({"models": []}, "does not answer as OpenAI's list"),
        ([1], "does not answer as OpenAI's list"),
        ({"data": []}, "lists no models"),
    ],
)
def test_an_answer_that_is_no_list_of_models(provider: ModelListDouble, body: Any, said: str) -> None:
    provider.body = body

    with pytest.raises(ProviderUnusable, match=said):
        list_models(provider.url, "right-key")


def test_a_provider_that_is_not_there() -> None:
    with model_list_double() as gone:
        pass
    with pytest.raises(ProviderUnusable, match="does not answer"):
        list_models(gone.url)
    with pytest.raises(ProviderUnusable, match="must begin with http"):
        list_models("file:///etc")
