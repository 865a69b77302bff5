"""The prompts that come with the program: their texts, and how they reach the database.

Each is written there at the start as a system template, which an administrator may edit. One that
nobody edited follows the program; one that was edited is left alone. A key that has no active
template falls back to the text here (see `prompt_registry`).
Source: contract/llm-api.md, sections 7.6 and 18.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import func, or_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from jan_server.database.statements import execute
from jan_server.services.llm_api.tables.prompt_template import PROMPT_TEMPLATES


@dataclass(frozen=True, slots=True)
class BuiltInPrompt:
    """One prompt of the program.

    Attributes:
        key: Its template key.
        name: Its title.
        description: What it is for.
        category: Where it is listed.
        content: Its text (see `template_text`).
        variables: The values that the module of this name gives to it.
    """

    key: str
    name: str
    description: str
    category: str
    content: str
    variables: tuple[str, ...] = ()

    @property
    def public_id(self) -> str:
        """The id of its row: the same in every installation."""
        return f"pt_{self.key}_001"


_DEEP_RESEARCH = """\
You are working as a careful researcher. The user wants a thorough, well-sourced answer, not a quick one.

1. Say in one or two sentences what is being asked. If an essential detail is missing and you cannot assume
   it safely, ask for it before anything else; otherwise state your assumption and go on.
2. Break the question into the smaller questions that an answer depends on.
3. Gather evidence for each of them. Use the tools you have, prefer primary and recent sources, and look for
   evidence against what you found first.
4. Where sources disagree, say so, and say which one you trust more and why.
5. Write the report: a short summary first, then sections with headings, then open questions.

Cite the source of every claim that you looked up. Separate what is established from what is your own
inference, and never invent a source, a quotation or a number."""

_TIMING = "The current date is {{.CurrentDate}}."

_USER_PROFILE = """\
This is what the user has told about themselves and about the answers they like. Use it where it helps; do not
recite it.
{{- if .BaseStyleInstruction}}

Style: {{.BaseStyleInstruction}}
{{- end}}
{{- if .CustomInstructions}}

Instructions of the user:
{{.CustomInstructions}}
{{- end}}
{{- if .UserContext}}

About the user:
{{- range .UserContext}}
- {{.}}
{{- end}}
{{- end}}"""

_MEMORY = """\
These are notes from earlier conversations. They may be out of date: what the user says now counts more.
Use only those that matter here, and do not mention that you have notes unless you are asked.
{{range .MemoryItems}}
- {{.}}
{{- end}}"""

_TOOL_INSTRUCTIONS = """\
{{- if .Tools -}}
Call a tool only when it helps to answer, with arguments that fit its schema. Do not guess what a tool would
say: call it and read its result.
{{end -}}
Answer from what tools returned, not from what you expected; when a call failed, say so or try another way.
{{- if .HasSearchTool}}
- Use `{{.SearchToolName}}` for recent events, prices, versions and other facts that may have changed, and
  name the sources you used.
{{- end}}
{{- if .HasScrapeTool}}
- Use `{{.ScrapeToolName}}` to read a page whose address you know{{if .HasSearchTool}}, for example one that a
  search found{{end}}.
{{- end}}
{{- if .HasCodeTool}}
- Use `{{.CodeToolName}}` for calculations and for working with data; print what you need to see.
{{- end}}
{{- if .HasBrowserTool}}
- Use `{{.BrowserToolName}}` for pages that need clicks, forms or scripts.
{{- end}}
{{- if .HasImageGenerateTool}}
- Use `{{.ImageGenerateToolName}}` when the user wants a new picture; describe all of it in the prompt.
{{- end}}
{{- if .HasImageEditTool}}
- Use `{{.ImageEditToolName}}` when the user wants an existing picture changed.
{{- end}}
{{- if .HasImageTool}}
- Never claim to have made or changed a picture without having called a tool for it.
{{- end}}"""

_CODE_ASSISTANT = """\
The user is working on code. Give code that is complete enough to run, in fenced blocks that name the
language. Follow the conventions of the code that you were shown, and change no more of it than the task
needs. Handle the errors that can really happen. Say briefly what you did and why, and point out what you
could not check."""

_CHAIN_OF_THOUGHT = """\
The question needs thought. Work through it step by step before you answer: note what is given and what is
asked, consider more than one approach, and check the result against the question. Then give the answer first
and the reasoning that supports it after it, as short as it can be."""

BUILT_IN: Mapping[str, BuiltInPrompt] = {
    prompt.key: prompt
    for prompt in (
        BuiltInPrompt(
            "deep_research",
            "Deep research",
            "Turns a chat with `deep_research: true` into a thorough investigation.",
            "research",
            _DEEP_RESEARCH,
        ),
        BuiltInPrompt(
            "timing", "Current date", "Tells the model what day it is.", "context", _TIMING, ("CurrentDate",)
        ),
        BuiltInPrompt(
            "memory",
            "Memory",
            "Tells the model what is remembered of the user.",
            "context",
            _MEMORY,
            ("MemoryItems",),
        ),
        BuiltInPrompt(
            "tool_instructions",
            "Tool instructions",
            "Tells the model when to use the tools of a request.",
            "tools",
            _TOOL_INSTRUCTIONS,
            (
                "Tools",
                *(
                    member.format(kind)
                    for kind in ("Search", "Scrape", "Code", "Browser", "ImageGenerate", "ImageEdit")
                    for member in ("Has{}Tool", "{}ToolName")
                ),
                "HasImageTool",
            ),
        ),
        BuiltInPrompt(
            "code_assistant",
            "Code assistant",
            "Goes with questions about code.",
            "assistant",
            _CODE_ASSISTANT,
        ),
        BuiltInPrompt(
            "chain_of_thought",
            "Step by step",
            "Goes with questions that need analysis.",
            "assistant",
            _CHAIN_OF_THOUGHT,
        ),
        BuiltInPrompt(
            "user_profile",
            "User profile",
            "Tells the model what the user wrote in the profile settings.",
            "context",
            _USER_PROFILE,
            (
                "BaseStyle",
                "BaseStyleInstruction",
                "CustomInstructions",
                "NickName",
                "Occupation",
                "MoreAboutYou",
                "UserContext",
            ),
        ),
    )
}
"""By template key."""


async def seed_prompts(session: AsyncSession) -> None:
    """Write the program's prompts where they are missing, and update those that nobody edited."""
    rows = [
        {
            "id": uuid4(),
            "public_id": prompt.public_id,
            "name": prompt.name,
            "description": prompt.description,
            "category": prompt.category,
            "template_key": prompt.key,
            "content": prompt.content,
            "variables": list(prompt.variables),
            "metadata": {},
            "is_active": True,
            "is_system": True,
            "version": 1,
            "created_by": "",
            "updated_by": "",
        }
        for prompt in BUILT_IN.values()
    ]
    statement = insert(PROMPT_TEMPLATES).values(rows)
    given, stored = statement.excluded, PROMPT_TEMPLATES.c
    follows = ("name", "description", "category", "content")
    statement = statement.on_conflict_do_update(
        index_elements=["public_id"],
        set_={
            **{name: given[name] for name in (*follows, "variables")},
            "updated_at": func.now(),
        },
        where=(stored.version == 1)
        & (stored.updated_by == "")
        & or_(*(stored[name] != given[name] for name in follows)),
    )
    await execute(session, statement)
