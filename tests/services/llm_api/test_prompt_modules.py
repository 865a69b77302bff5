"""Prompt modules: what the server adds to a chat, as the provider gets it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from jan_server.database.engine import Database
from jan_server.services.llm_api.built_in_prompts import BUILT_IN
from jan_server.services.llm_api.chat_request import parse_chat_request
from jan_server.services.llm_api.prompt_modules import PromptSwitches
from jan_server.services.llm_api.prompt_orchestration import PromptOrchestration
from tests.doubles.openai_upstream import Answer, OpenAIUpstream
from tests.services.llm_api.conftest import Serve, eventually
from tests.services.llm_api.platform import Platform

MODEL = "unknown/scripted-model"
CHAT = "/v1/chat/completions"
TEMPLATES = "/v1/admin/prompt-templates"
MODULES = "x-applied-prompt-modules"
Message = dict[str, Any]

ALL = {"enabled": True, "enable_memory": True, "enable_templates": True, "enable_tools": True}
BARE = {"enabled": True, "enable_memory": False, "enable_templates": False, "enable_tools": False}
TOOL_MARK = "Answer from what tools returned"
CODE_MARK = "The user is working on code"
THOUGHT_MARK = "The question needs thought"


def system(content: str) -> Message:
    return {"role": "system", "content": content}


def user(content: Any) -> Message:
    return {"role": "user", "content": content}


def tool(name: str, description: str = "") -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": {}}}


@pytest.fixture(scope="module")
async def orchestrated(serve: Serve, upstream: OpenAIUpstream) -> Platform:
    """An LLM API with every module allowed."""
    platform = await serve(upstream, llm_api={"prompt_orchestration": ALL})
    await platform.serving.sync.sync_providers()
    return platform


@pytest.fixture(scope="module")
async def restricted(serve: Serve, upstream: OpenAIUpstream) -> Platform:
    """An LLM API on the same database without the groups of modules that can be switched off."""
    platform = await serve(upstream, llm_api={"prompt_orchestration": BARE})
    await platform.serving.sync.sync_providers()
    return platform


class Talk:
    """A user who talks to a model through one platform."""

    def __init__(self, platform: Platform, name: str) -> None:
        self.upstream = platform.upstream
        self.client = platform.client(name)
        self.admin = platform.client(f"root of {name}", admin=True)

    async def say(
        self, *messages: Message, headers: Any = None, query: str = "", **members: Any
    ) -> httpx.Response:
        body = {"model": MODEL, "messages": messages or [user("Hello")], **members}
        answer = await self.client.post(CHAT + query, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer

    @property
    def sent(self) -> list[Message]:
        messages: list[Message] = self.upstream.last.json["messages"]
        return messages

    @property
    def added(self) -> list[str]:
        """The texts of the system messages that the provider got."""
        return [message["content"] for message in self.sent if message["role"] == "system"]

    async def change_template(self, key: str, content: str) -> None:
        changed = await self.admin.patch(f"{TEMPLATES}/pt_{key}_001", json={"content": content})
        assert changed.status_code == 200, changed.text


@pytest.fixture
async def talk(orchestrated: Platform, request: pytest.FixtureRequest) -> AsyncIterator[Talk]:
    """Somebody who was never seen before; templates that are changed are put back."""
    orchestrated.upstream.reset()
    talk = Talk(orchestrated, request.node.name)
    async with talk.client, talk.admin:
        yield talk
        for key in ("timing", "deep_research"):
            await talk.change_template(key, BUILT_IN[key].content)


def applied(answer: httpx.Response) -> list[str]:
    return str(answer.headers.get(MODULES, "")).split(",")


def today() -> set[str]:
    """Today, and yesterday in case the test runs over midnight."""
    now = datetime.now()
    return {f"{moment:%B} {moment.day}, {moment.year}" for moment in (now, now - timedelta(days=1))}


async def test_every_chat_is_told_the_date_and_keeps_its_own_messages(talk: Talk) -> None:
    answer = await talk.say(user("Hello"))
    assert applied(answer) == ["timing"]
    assert talk.sent[1:] == [user("Hello")]
    assert talk.sent[0] in [system(f"The current date is {day}.") for day in today()]
    await talk.say(system("Be brief"), user("Hello"))
    assert [message["content"] for message in talk.sent][::2] == ["Be brief", "Hello"]
    assert re.fullmatch(r"The current date is [A-Z][a-z]+ \d+, \d{4}\.", talk.added[1])
    streamed = await talk.say(user("Hello"), stream=True)
    assert applied(streamed) == ["timing"]


async def test_without_orchestration_nothing_is_added(platform: Platform) -> None:
    async with platform.client() as client:
        body = {
            "model": MODEL,
            "messages": [user("Debug this Python code, step by step")],
            "deep_research": True,
        }
        answer = await client.post(CHAT, json=body, headers={"X-Prompt-Memory": "likes tea"})
    assert MODULES not in answer.headers
    assert platform.upstream.last.json["messages"] == body["messages"]


async def test_added_messages_have_the_role_of_the_callers_own_instructions(talk: Talk) -> None:
    await talk.say({"role": "developer", "content": "Be brief"}, user("Hello"))
    assert [message["role"] for message in talk.sent] == ["developer", "developer", "user"]
    await talk.say(user("Hello"), system("Now be long"))
    assert [message["role"] for message in talk.sent] == ["system", "user", "system"]


async def test_modules_stand_in_their_order(talk: Talk) -> None:
    await talk.client.patch("/v1/users/me/settings", json={"profile_settings": {"nick_name": "Ann"}})
    project = await talk.client.post("/v1/projects", json={"name": "Trips", "instruction": "Speak French"})
    conversation = await talk.client.post("/v1/conversations", json={"project_id": project.json()["id"]})
    answer = await talk.say(
        system("Be brief"),
        user("Why does my Python code fail?"),
        deep_research=True,
        tools=[tool("google_search")],
        conversation=conversation.json()["id"],
        headers={"X-Prompt-Memory": "likes tea"},
    )
    names = [
        "deep_research",
        "timing",
        "project_instruction",
        "user_profile",
        "memory",
        "tool_instructions",
        "code_assistant",
        "chain_of_thought",
    ]
    assert applied(answer) == names
    beginnings = [
        "Speak French",
        THOUGHT_MARK,
        CODE_MARK,
        "Call a tool only",
        "These are notes",
        "This is what the user",
        "You are working as a careful researcher",
        "The current date is",
        "Be brief",
    ]
    assert len(talk.added) == len(beginnings)
    for text, beginning in zip(talk.added, beginnings, strict=True):
        assert text.startswith(beginning)
    assert talk.sent[len(beginnings) :] == [user("Why does my Python code fail?")]
    assert "deep_research" not in talk.upstream.last.json


async def test_a_projects_instruction_is_given_once_with_what_precedes_what(talk: Talk) -> None:
    project = await talk.client.post("/v1/projects", json={"name": "Trips", "instruction": "Speak French"})
    made = await talk.client.post("/v1/conversations", json={"project_id": project.json()["id"]})
    conversation = made.json()["id"]
    for messages in (
        [system("Be brief"), user("Hello")],
        [system("Speak French"), user("Next")],
        [user("Last")],
    ):
        answer = await talk.say(*messages, conversation=conversation)
        assert "project_instruction" in applied(answer)
        assert str(talk.sent).count("Speak French") == 1
        assert talk.sent[0]["content"].startswith("Speak French\n\n")
        assert "these count" in talk.sent[0]["content"]
    stored = await talk.client.get(f"/v1/conversations/{conversation}/items")
    assert {item["role"] for item in stored.json()["data"]} == {"user", "assistant"}


async def test_the_profile_reaches_the_model_in_full(talk: Talk) -> None:
    assert applied(await talk.say()) == ["timing"]
    settings = "/v1/users/me/settings"
    assert (await talk.client.get(settings)).json()["profile_settings"]["base_style"] == "Friendly"
    assert applied(await talk.say()) == ["timing"]
    chosen = {
        "base_style": "Professional",
        "custom_instructions": "Use metric units.",
        "nick_name": "Ann",
        "occupation": "Baker",
        "more_about_you": "Lives in Hanoi",
    }
    await talk.client.patch(settings, json={"profile_settings": chosen})
    assert applied(await talk.say()) == ["timing", "user_profile"]
    text = talk.added[1]
    assert "Style: Answer in a factual and polite tone" in text
    assert "Instructions of the user:\nUse metric units." in text
    for line in ("They want to be called: Ann", "Their occupation: Baker", "More about them: Lives in Hanoi"):
        assert f"\n- {line}" in text
    assert "<no value>" not in text
    await talk.client.patch(settings, json={"profile_settings": {"occupation": "Pilot"}})
    await talk.say()
    assert "Their occupation: Pilot" in talk.added[1]
    cleared = {name: "" for name in chosen if name != "base_style"}
    await talk.client.patch(settings, json={"profile_settings": {**cleared, "base_style": "Concise"}})
    await talk.say()
    assert talk.added[1].endswith("Style: Answer briefly and to the point; leave out what was not asked for.")


async def test_another_process_hears_of_a_changed_profile(
    talk: Talk, restricted: Platform, request: pytest.FixtureRequest
) -> None:
    here, there = talk, Talk(restricted, request.node.name)
    async with there.client, there.admin:
        assert applied(await there.say()) == ["timing"]
        await here.client.patch("/v1/users/me/settings", json={"profile_settings": {"nick_name": "Ann"}})

        async def is_heard() -> bool:
            return applied(await there.say()) == ["timing", "user_profile"]

        await eventually(is_heard)


async def test_remembered_lines_come_from_the_header_and_the_conversation(
    talk: Talk, restricted: Platform
) -> None:
    made = await talk.client.post(
        "/v1/conversations",
        json={"metadata": {"memory_pets": "has a cat", "topic": "tea", "memory": "is 40"}},
    )
    headers = {"X-Prompt-Memory": "likes tea; ; speaks Vietnamese;"}
    answer = await talk.say(conversation=made.json()["id"], headers=headers)
    assert applied(answer) == ["timing", "memory"]
    lines = [line for line in talk.added[1].splitlines() if line.startswith("- ")]
    assert lines[:2] == ["- likes tea", "- speaks Vietnamese"]
    assert sorted(lines[2:]) == ["- has a cat", "- is 40"]
    assert applied(await talk.say(headers={"X-Prompt-Memory": "; ;"})) == ["timing"]
    await talk.say(headers={"X-Prompt-Memory": "mag Käse".encode()})
    assert talk.added[1].endswith("- mag Käse")
    async with restricted.client() as client:
        answer = await client.post(CHAT, json={"model": MODEL, "messages": [user("Hi")]}, headers=headers)
        assert applied(answer) == ["timing"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("google_search", "Use `google_search` for recent events"),
        ("webSearch", "Use `webSearch` for recent events"),
        ("scrape", "Use `scrape` to read a page"),
        ("python_exec", "Use `python_exec` for calculations"),
        ("run_code", "Use `run_code` for calculations"),
        ("browser_click", "Use `browser_click` for pages"),
        ("generate_image", "Use `generate_image` when the user wants a new picture"),
        ("edit_image", "Use `edit_image` when the user wants an existing picture"),
    ],
)
async def test_tools_are_named_where_they_help(talk: Talk, name: str, said: str) -> None:
    answer = await talk.say(tools=[tool("get_weather"), tool(name)])
    assert applied(answer) == ["timing", "tool_instructions"]
    [text] = [text for text in talk.added if TOOL_MARK in text]
    assert said in text
    assert text.count("\n- Use `") == 1
    assert ("Never claim" in text) == ("image" in name)


async def test_tool_instructions_need_something_to_do_with_tools(talk: Talk, restricted: Platform) -> None:
    called = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    answered = [
        user("How is the weather?"),
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
    ]
    assert "tool_instructions" in applied(await talk.say(*answered))
    assert "tool_instructions" in applied(await talk.say(image=True))
    assert "tool_instructions" not in applied(await talk.say(image=False))
    neutral = [tool("file_search_query"), tool("zip_code_lookup"), {"type": "web_search"}]
    await talk.say(tools=neutral)
    [text] = [text for text in talk.added if TOOL_MARK in text]
    assert [line for line in text.splitlines() if line.startswith("- ")] == [
        "- Use `web_search` for recent events, prices, versions and other facts that may have changed, and"
    ]
    async with restricted.client() as client:
        answer = await client.post(CHAT, json={"model": MODEL, "messages": answered, "tools": neutral})
        assert applied(answer) == ["timing"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Fix this bug please", ["code_assistant"]),
        ("What is wrong?\n```\nx = 1\n```", ["code_assistant"]),
        ("Compare tea with coffee", ["chain_of_thought"]),
        ("Go through it step by step", ["chain_of_thought"]),
        ("Explain this Python traceback", ["code_assistant", "chain_of_thought"]),
        ("Which of these would you take? " + "It is a long story. " * 20, ["chain_of_thought"]),
        ("Tell me a joke", []),
        ("The history of bread " * 40, []),
        ([{"type": "text", "text": "Fix this bug"}], ["code_assistant"]),
    ],
)
async def test_wording_calls_for_modules(
    talk: Talk, restricted: Platform, text: Any, names: list[str]
) -> None:
    earlier = [user("Why is my Python code slow?"), {"role": "assistant", "content": "Let me see."}]
    assert applied(await talk.say(*earlier, user(text))) == ["timing", *names]
    assert (CODE_MARK in str(talk.added)) == ("code_assistant" in names)
    async with restricted.client() as client:
        answer = await client.post(CHAT, json={"model": MODEL, "messages": [user(text)]})
        assert applied(answer) == ["timing"]


async def test_an_edited_template_is_used_at_once_and_soon_by_other_processes(
    talk: Talk, restricted: Platform
) -> None:
    await talk.change_template(
        "timing", "Today: {{.CurrentDate}}{{if .Persona}} ({{.Persona}}, {{.Language}}){{end}}"
    )
    await talk.say(headers={"X-Prompt-Persona": "tutor", "Accept-Language": "de"})
    assert re.fullmatch(r"Today: \w+ \d+, \d{4} \(tutor, de\)", talk.added[0])
    await talk.say(query="?persona=coach", headers={"X-Prompt-Persona": "tutor"})
    assert talk.added[0].endswith("(coach, )")

    async def is_heard() -> bool:
        async with restricted.client() as client:
            await client.post(CHAT, json={"model": MODEL, "messages": [user("Hi")]})
        first: str = restricted.upstream.last.json["messages"][0]["content"]
        return first.startswith("Today: ")

    await eventually(is_heard)


async def test_a_models_own_template_goes_before_the_global_one(talk: Talk) -> None:
    made = await talk.admin.post(
        TEMPLATES,
        json={
            "name": "German",
            "category": "research",
            "template_key": "german_research",
            "content": "Forsche gründlich.",
        },
    )
    template = made.json()["data"]["public_id"]
    path = f"/v1/admin/models/catalog-prompt-templates/{MODEL}"
    body = {"template_key": "deep_research", "prompt_template_id": template}
    assert (await talk.admin.post(path, json=body)).status_code == 201
    await talk.say(deep_research=True)
    assert talk.added[0] == "Forsche gründlich."
    await talk.admin.patch(f"{path}/deep_research", json={"is_active": False})
    await talk.change_template("deep_research", "Dig deep.")
    await talk.say(deep_research=True)
    assert talk.added[0] == "Dig deep."
    await talk.admin.patch(f"{TEMPLATES}/pt_deep_research_001", json={"is_active": False})
    await talk.say(deep_research=True)
    assert talk.added[0] == BUILT_IN["deep_research"].content
    await talk.admin.patch(f"{TEMPLATES}/pt_deep_research_001", json={"is_active": True})
    await talk.admin.delete(f"{TEMPLATES}/{template}")


async def test_a_template_that_fails_is_left_out_and_one_that_is_none_passed_over(
    talk: Talk, database_url: str
) -> None:
    long = "{{range .Tools}}{{range $.Tools}}{{range $.Tools}}{{.Name}}{{end}}{{end}}{{end}}"
    changed = await talk.admin.patch(f"{TEMPLATES}/pt_tool_instructions_001", json={"content": "No." + long})
    assert changed.status_code == 200
    many = [tool(f"tool_{number}") for number in range(60)]
    assert applied(await talk.say(tools=many)) == ["timing"]
    assert applied(await talk.say(tools=many[:2])) == ["timing", "tool_instructions"]
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute(
            "update llm_api.prompt_templates set content = '{{if' where public_id = %s",
            ("pt_tool_instructions_001",),
        )

    async def is_passed_over() -> bool:
        await talk.say(tools=many)
        return any(TOOL_MARK in text for text in talk.added)

    await eventually(is_passed_over)


async def test_a_chat_goes_on_without_the_profile_while_the_database_is_away() -> None:
    database = Database("postgresql://nobody@127.0.0.1:9/nothing")
    prompts = PromptOrchestration(database, PromptSwitches())
    request = parse_chat_request({"model": MODEL, "messages": [user("Hello")]})
    found = await prompts.apply(request, MODEL, 1, None)
    assert list(found.names) == ["timing"]
    assert request.messages == [user("Hello")]
    await database.dispose()


async def test_what_modules_add_counts_when_a_chat_is_fitted_to_the_model(
    talk: Talk, database_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute(
            "update llm_api.model_catalogs set context_length = 4000 where public_id = %s", (MODEL,)
        )

    async def says(trimmed: bool, tokens: int) -> bool:
        talk.upstream.next(Answer("Hi"))
        messages = [user("word " * tokens), {"role": "assistant", "content": "Yes?"}, user("Go on")]
        return (await talk.say(*messages)).json().get("trimmed", False) is trimmed

    async def is_small() -> bool:
        return await says(True, 4000)

    try:
        await eventually(is_small)
        assert await says(False, 1500)
        await talk.change_template("timing", "pad " * 1500)
        assert await says(True, 1500)
        assert talk.added[0].startswith("pad pad")
        assert talk.sent[-1] == user("Go on")
    finally:
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            await connection.execute(
                "update llm_api.model_catalogs set context_length = null where public_id = %s", (MODEL,)
            )
