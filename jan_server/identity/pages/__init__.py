"""The pages that identity shows to people: log-in, registration, messages.

Plain HTML forms without scripts and without anything from elsewhere; the templates lie beside
this module.
"""

from __future__ import annotations

import functools
import secrets
from pathlib import Path
from typing import Any

from starlette.responses import HTMLResponse

from jan_server.identity.realm import Realm


@functools.cache
def _templates() -> Any:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )


def page(realm: Realm, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a page.

    It may not be framed, kept, or load anything; where its forms lead is left open, because
    browsers hold that rule against every redirect that follows a log-in.
    """
    nonce = secrets.token_urlsafe(16)
    html = _templates().get_template(template).render(realm_name=realm.display_name, nonce=nonce, **values)
    return HTMLResponse(
        html,
        status_code=status,
        headers={
            "cache-control": "no-store, must-revalidate, max-age=0",
            "content-security-policy": (
                f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
                "base-uri 'none'; frame-ancestors 'none'"
            ),
            "x-frame-options": "DENY",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        },
    )


def message(realm: Realm, heading: str, text: str, *, status: int = 200) -> HTMLResponse:
    """A page that only says something; from status 400 on, something that went wrong."""
    return page(realm, "message.html", status=status, heading=heading, text=text, alarming=status >= 400)
