"""Prompt modules: what the server adds to a chat before the model sees it.

Each module that is active adds one system message of its own, right behind the first one that
is there; those that lead go to the very front. The first of the list below runs first, so that
later modules stand above earlier ones.
Source: contract/llm-api.md, section 7.6.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jan_server.services.llm_api import prompt_variables as variables
from jan_server.services.llm_api.chat_history import Message
from jan_server.services.llm_api.prompt_context import PromptContext
from jan_server.services.llm_api.prompt_registry import PromptRegistry
from jan_server.services.llm_api.template_text import TemplateText, parse_template

logger = logging.getLogger("jan.llm-api.prompts")

_INSTRUCTION_ROLES = ("system", "developer")

_PROJECT = parse_template(
    """\
{{.Instruction}}

These are the instructions of the project that this conversation belongs to. Where other general instructions
disagree with them, these count; what the user asks for in the conversation itself is answered within them."""
)


@dataclass(frozen=True, slots=True)
class PromptSwitches:
    """Which groups of modules the settings allow.

    Attributes:
        memory: The remembered lines.
        templates: The modules that go by the wording of a question.
        tools: The instructions for tools.
    """

    memory: bool = False
    templates: bool = False
    tools: bool = False


@dataclass(frozen=True, slots=True)
class PromptModule:
    """One module.

    Attributes:
        name: How the header `X-Applied-Prompt-Modules` names it, and the key of its template.
        priority: Lower numbers run first.
        is_active: Whether it has something to say in a chat.
        variables: The values that its template can use.
        leads: Whether its message goes to the very front.
        text: Its text, where that is no template of the database.
    """

    name: str
    priority: int
    is_active: Callable[[PromptContext, PromptSwitches], bool]
    variables: Callable[[PromptContext], variables.Variables] = variables.no_variables
    leads: bool = False
    text: TemplateText | None = None


_MODULES = (
    PromptModule("deep_research", -20, lambda context, _: context.deep_research, leads=True),
    PromptModule("timing", -15, lambda context, _: True, variables.timing_variables),
    PromptModule(
        "project_instruction",
        -10,
        lambda context, _: bool(context.instruction),
        variables.project_variables,
        leads=True,
        text=_PROJECT,
    ),
    PromptModule(
        "user_profile", 5, lambda context, _: context.profile is not None, variables.profile_variables
    ),
    PromptModule(
        "memory",
        10,
        lambda context, allowed: allowed.memory and bool(context.memory),
        variables.memory_variables,
    ),
    PromptModule(
        "tool_instructions",
        20,
        lambda context, allowed: (
            allowed.tools and (bool(context.tools) or context.image or context.has_tool_results)
        ),
        variables.tool_variables,
    ),
    PromptModule(
        "code_assistant",
        30,
        lambda context, allowed: allowed.templates and variables.is_about_code(context),
    ),
    PromptModule(
        "chain_of_thought",
        40,
        lambda context, allowed: allowed.templates and variables.needs_analysis(context),
    ),
)
MODULES = tuple(sorted(_MODULES, key=lambda module: module.priority))
"""In the order of their priorities."""


@dataclass(frozen=True, slots=True)
class AppliedModules:
    """What became of a chat.

    Attributes:
        messages: What the model gets.
        added: The messages that are new.
        names: The modules that added them, in the order in which they ran.
    """

    messages: list[Message]
    added: Sequence[Message] = ()
    names: Sequence[str] = ()


NOT_APPLIED = AppliedModules([])
"""Where no module may work."""


def apply_modules(
    context: PromptContext, model_id: str, registry: PromptRegistry, allowed: PromptSwitches
) -> AppliedModules:
    """Let every active module add its message; one that fails is logged and left out.

    Args:
        context: The chat; its messages are not changed.
        model_id: Who answers, and may have templates of its own.
        registry: Knows the templates.
        allowed: Which groups of modules may be active.
    """
    messages = list(context.messages)
    # Models that know the role `developer` do not take both in one chat.
    role = messages[0]["role"] if messages and messages[0]["role"] in _INSTRUCTION_ROLES else "system"
    added: list[Message] = []
    names: list[str] = []
    for module in MODULES:
        try:
            if not module.is_active(context, allowed):
                continue
            template = module.text or registry.find(model_id, module.name)
            text = template.render({**_common_variables(context), **module.variables(context)})
        except Exception as failure:
            logger.warning("prompt module %s is left out: %s", module.name, failure)
            continue
        if not text:
            continue
        if module.text is _PROJECT:
            messages = [message for message in messages if not _is_instruction(message, context.instruction)]
        message = {"role": role, "content": text}
        has_first = bool(messages) and messages[0]["role"] in _INSTRUCTION_ROLES
        messages.insert(1 if has_first and not module.leads else 0, message)
        added.append(message)
        names.append(module.name)
    return AppliedModules(messages, added, names)


def _common_variables(context: PromptContext) -> variables.Variables:
    return {"Persona": context.hints.persona, "Language": context.hints.language}


def _is_instruction(message: Message, instruction: str) -> bool:
    """Whether a message is the project's instruction by itself, which the module says again."""
    return message["role"] in _INSTRUCTION_ROLES and message.get("content") == instruction
