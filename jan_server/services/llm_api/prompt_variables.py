"""The values that templates of prompt modules can use, and the wording that modules listen for.

Source: contract/llm-api.md, section 7.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from jan_server.services.llm_api.prompt_context import PromptContext
from jan_server.services.llm_api.user_settings import ProfileSettings

Variables = Mapping[str, Any]

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

_STYLES: Mapping[str, str] = {
    "Concise": "Answer briefly and to the point; leave out what was not asked for.",
    "Friendly": "Answer in a warm and natural tone, as a friend who knows the subject.",
    "Professional": "Answer in a factual and polite tone, with clear structure and precise words.",
}

_LONG_QUESTION_WORDS = 60

_NAME_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")

_CODE = """
    algorithm api bash bug bugs c++ c# code coding compile compiler css debug docker exception function
    functions git golang html java javascript json kotlin kubernetes npm php pip postgres programming
    pytest python recursion refactor regex sql stacktrace syntax traceback typescript unittest yaml
"""
_CODE_WORDS = frozenset(_CODE.split())
_CODE_SIGNS = ("```", "#include", "=> {", "();", "():", "</")

_ANALYTIC = """
    analyse analysis analyze argue assess calculate cause causes compare comparison consequences contrast
    deduce derive determine difference differences estimate evaluate explain implications infer interpret
    justify pros proof prove reason reasoning solve strategy tradeoff tradeoffs why
"""
_ANALYTIC_WORDS = frozenset(_ANALYTIC.split())
_ANALYTIC_PHRASES = ("step by step", "how come", "how does", "how do ", "what if", "trade-off")

_TOOL_KINDS: Mapping[str, Callable[[frozenset[str]], bool]] = {
    "Search": lambda words: "search" in words and words.isdisjoint({"file", "files", "memory"}),
    "Scrape": lambda words: not words.isdisjoint({"scrape", "scraper", "crawl", "fetch"}),
    "Code": lambda words: (
        not words.isdisjoint({"python", "interpreter", "sandbox"})
        or ("code" in words and not words.isdisjoint({"run", "exec", "execute", "execution", "runner"}))
    ),
    "Browser": lambda words: not words.isdisjoint({"browser", "browse", "playwright", "puppeteer"}),
    "ImageGenerate": lambda words: (
        not words.isdisjoint({"image", "images", "picture"})
        and not words.isdisjoint({"generate", "generation", "create", "draw", "make"})
    ),
    "ImageEdit": lambda words: (
        not words.isdisjoint({"image", "images", "picture"})
        and not words.isdisjoint({"edit", "edits", "modify", "inpaint"})
    ),
}
"""Each kind of tool that templates know, and how the words of a tool's name tell it."""


def no_variables(context: PromptContext) -> Variables:
    """The values of a template that needs none of its own."""
    return {}


def timing_variables(context: PromptContext) -> Variables:
    """`CurrentDate`: today where the server is, for example `March 4, 2026`."""
    today = datetime.now().astimezone()
    return {"CurrentDate": f"{_MONTHS[today.month - 1]} {today.day}, {today.year}"}


def project_variables(context: PromptContext) -> Variables:
    """`Instruction`: what the conversation's project says."""
    return {"Instruction": context.instruction}


def profile_variables(context: PromptContext) -> Variables:
    """What the user chose of the profile settings, by itself and in sentences.

    `BaseStyle`, `CustomInstructions`, `NickName`, `Occupation` and `MoreAboutYou` are the settings;
    `BaseStyleInstruction` says what the style means, and `UserContext` is a list of what the user
    told about themselves.
    """
    profile = context.profile or ProfileSettings()
    told = (
        ("They want to be called", profile.nick_name),
        ("Their occupation", profile.occupation),
        ("More about them", profile.more_about_you),
    )
    return {
        "BaseStyle": profile.base_style,
        "BaseStyleInstruction": _STYLES.get(profile.base_style, ""),
        "CustomInstructions": profile.custom_instructions,
        "NickName": profile.nick_name,
        "Occupation": profile.occupation,
        "MoreAboutYou": profile.more_about_you,
        "UserContext": [f"{label}: {value}" for label, value in told if value],
    }


def memory_variables(context: PromptContext) -> Variables:
    """`MemoryItems`: the remembered lines."""
    return {"MemoryItems": list(context.memory)}


def tool_variables(context: PromptContext) -> Variables:
    """`Tools` (each with `Name`, `Description`, `Parameters`), and for each kind of tool whether it is there.

    A kind such as `Search` has `HasSearchTool` and `SearchToolName`; `HasImageTool` means that
    pictures can be made or changed.
    """
    tools = [_tool(definition) for definition in context.tools]
    variables: dict[str, Any] = {"Tools": tools}
    named = [(tool["Name"], _name_words(tool["Name"])) for tool in tools]
    for kind, is_kind in _TOOL_KINDS.items():
        name = next((name for name, words in named if is_kind(words)), "")
        variables[f"Has{kind}Tool"] = bool(name)
        variables[f"{kind}ToolName"] = name
    variables["HasImageTool"] = variables["HasImageGenerateTool"] or variables["HasImageEditTool"]
    return variables


def is_about_code(context: PromptContext) -> bool:
    """Whether the question looks as if it were about code."""
    return not _CODE_WORDS.isdisjoint(context.words) or any(sign in context.wording for sign in _CODE_SIGNS)


def needs_analysis(context: PromptContext) -> bool:
    """Whether the question asks for analysis by its wording, or is a long one."""
    if not _ANALYTIC_WORDS.isdisjoint(context.words):
        return True
    if any(phrase in context.wording for phrase in _ANALYTIC_PHRASES):
        return True
    return "?" in context.question and context.wording.count(" ") >= _LONG_QUESTION_WORDS


def _tool(definition: Mapping[str, Any]) -> dict[str, Any]:
    function = definition.get("function")
    described: Mapping[str, Any] = function if isinstance(function, Mapping) else definition
    return {
        "Name": str(described.get("name") or definition.get("type") or ""),
        "Description": str(described.get("description") or ""),
        "Parameters": described.get("parameters") or {},
    }


def _name_words(name: str) -> frozenset[str]:
    """The words of a tool's name, which may be joined by signs or by capitals."""
    return frozenset(word.lower() for word in _NAME_WORD.findall(name))
