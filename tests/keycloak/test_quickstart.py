"""From nothing to a chat: quickstart with Keycloak, its log-in page in a real browser, a token, an answer."""

from __future__ import annotations

import shutil
import urllib.parse
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, sync_playwright

from tests.builtin_model import give_builtin_model
from tests.gateway.serving import free_port
from tests.running_stack import StackHome, free_ports, own_folder, stop

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""
START_SECONDS = 500
EMAIL, PASSWORD = "ada@example.org", "a phrase of Ada's own"


@pytest.fixture(scope="module")
def stack() -> Iterator[StackHome]:
    """The platform as `jan quickstart --yes --identity keycloak && jan up -d` makes it."""
    with own_folder() as folder:
        ports = {"KEYCLOAK_MANAGEMENT_PORT": free_port(), "KEYCLOAK_DATABASE_PORT": free_port()}
        environment = {name: str(port) for name, port in ports.items()}
        made = StackHome(
            folder / "home", free_ports(), {**environment, "JAN__SERVER__PUBLIC_HOST": "localhost"}
        )
        made.must("quickstart", "--yes", "--identity", "keycloak")
        give_builtin_model(made.home)
        made.must("up", "-d", "--timeout", str(START_SECONDS), seconds=START_SECONDS + 60)
        yield made
        stop(made)


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a headless Chromium."""
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: the log-in page is not tried in a browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


def test_a_person_logs_in_with_keycloaks_page_and_chats(stack: StackHome, page: Page) -> None:
    gateway = f"http://localhost:{stack.ports['gateway']}"
    stack.must("users", "create", EMAIL, "--first-name", "Ada", "--last-name", "Lovelace", "--no-password")
    done = stack.jan("users", "password", EMAIL, given=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    # Where the browser ends up; nobody listens there, the address is what counts.
    target = "http://localhost:3000/after"
    answer = httpx.get(f"{gateway}/auth/login", params={"redirect_url": target}).json()
    page.route(f"{target}*", lambda route: route.fulfill(status=200, body="back"))

    page.goto(answer["authorization_url"])
    assert page.title().startswith("Sign in to Jan")
    page.fill("#username", EMAIL)
    page.fill("#password", PASSWORD)
    page.click("#kc-login")
    page.wait_for_url(f"{target}*")
    fragment = urllib.parse.parse_qs(urllib.parse.urlsplit(page.evaluate("location.href")).fragment)

    headers = {"Authorization": f"Bearer {fragment['access_token'][0]}"}
    with httpx.Client(base_url=gateway, headers=headers, timeout=120) as client:
        assert client.get("/auth/me").json()["email"] == EMAIL
        models = client.get("/v1/models").json()["data"]
        body = {
            "model": next(model["id"] for model in models if "smollm2" in model["id"]),
            "messages": [{"role": "user", "content": "Say hello."}],
            "max_tokens": 16,
        }
        spoken = client.post("/v1/chat/completions", json=body)
    assert spoken.status_code == 200, spoken.text
    assert spoken.json()["choices"][0]["message"]["content"]


def test_a_second_setup_changes_nothing(stack: StackHome) -> None:
    assert "nothing was changed" in stack.must("identity", "setup")
    assert "as the realm file says" in stack.must("identity", "diff")
