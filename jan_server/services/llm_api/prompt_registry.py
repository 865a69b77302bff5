"""The prompt templates of this moment, parsed, kept in the process and told by PostgreSQL when they change.

Modules look their texts up here and never ask the database: a model's own template first, then
the oldest active one of the key, then the program's own text (contract/llm-api.md, section 7.6).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from jan_server.database.engine import Database
from jan_server.services.llm_api.built_in_prompts import BUILT_IN
from jan_server.services.llm_api.model_prompt_templates import active_assignments, global_templates
from jan_server.services.llm_api.notices import hearing
from jan_server.services.llm_api.prompt_templates import CHANNEL, PromptTemplate
from jan_server.services.llm_api.template_expressions import TemplateError
from jan_server.services.llm_api.template_text import TemplateText, parse_template

logger = logging.getLogger("jan.llm-api.prompts")

_PROGRAM: Mapping[str, TemplateText] = {
    key: parse_template(prompt.content) for key, prompt in BUILT_IN.items()
}


class PromptRegistry:
    """Knows the text of each module's key, and stays up to date while it is open.

    Args:
        database: Where templates and assignments are stored.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._texts: Mapping[str, TemplateText] = _PROGRAM
        self._own: Mapping[tuple[str, str], TemplateText] = {}
        self._reading = asyncio.Lock()

    def find(self, model_id: str, key: str) -> TemplateText:
        """The text that a model gets for a module's key."""
        return self._own.get((model_id, key)) or self._texts[key]

    def open(self) -> AbstractAsyncContextManager[None]:
        """Read the templates, and again after each notice, while the context lasts."""
        return hearing(
            "prompts",
            self._database.url,
            CHANNEL,
            begin=self.refresh,
            changed=lambda _: self.refresh(),
        )

    async def refresh(self) -> None:
        """Read templates and assignments from the database."""
        async with self._reading:
            async with self._database.session() as session:
                templates = await global_templates(session)
                assignments = await active_assignments(session)
            parsed = {
                template.template_key: _parsed(template.template_key, template) for template in templates
            }
            own = {
                (assignment.model_id, assignment.template_key): _parsed(
                    assignment.template_key, assignment.template
                )
                for assignment in assignments
            }
            self._texts = {**_PROGRAM, **{key: text for key, text in parsed.items() if text is not None}}
            self._own = {place: text for place, text in own.items() if text is not None}


def _parsed(key: str, template: PromptTemplate) -> TemplateText | None:
    """The text as modules fill it; None when no module asks for its key, or it is no template."""
    if key not in BUILT_IN:
        return None
    try:
        return parse_template(template.content)
    except TemplateError as failure:
        # Saving refuses such a text for a module's key; one that was written past the API is passed over.
        logger.warning("prompt template %s cannot be used for %s: %s", template.public_id, key, failure)
        return None
