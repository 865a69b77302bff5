"""The routes that a mail with a link leads to: a page to confirm on, and the confirmation itself.

Opening the page proves nothing yet, because programs that look through mail open every link.
"""

from __future__ import annotations

from html import escape
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from jan_server.http.errors import invalid_request
from jan_server.http.json_body import OrjsonResponse, read_json_object
from jan_server.http.typed_body import documented, parsed
from jan_server.services.llm_api.email_proofs import prove_email
from jan_server.services.llm_api.metrics import AUTH_REQUESTS
from jan_server.services.llm_api.refusals import Invalid
from jan_server.services.llm_api.resources import Open
from jan_server.services.llm_api.routes.auth import PROOF_PATH, no_store
from jan_server.services.llm_api.schemas.auth import EmailProved, ProofToken
from jan_server.services.llm_api.schemas.error import errors

FORM = "application/x-www-form-urlencoded"

router = APIRouter(tags=["auth"], dependencies=[Depends(no_store)])

# The address of the page carries the token: it must not travel on, nor stay in a cache.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>E-mail address</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 32rem; margin: 4rem auto; padding: 0 1rem; }}
  button {{ font: inherit; padding: .5rem 1rem; }}
  :root {{ color-scheme: light dark; }}
</style>
<h1>E-mail address</h1>
{content}
</html>
"""
_FORM = """\
<p>Confirm that this address is yours.</p>
<form method="post" action="verify-email">
  <input type="hidden" name="token" value="{token}">
  <button>Confirm</button>
</form>
"""


@router.get(PROOF_PATH, include_in_schema=False)
async def confirmation_page(token: Annotated[str, Query(max_length=256)] = "") -> Response:
    """A page with one button."""
    return _page(_FORM.format(token=escape(token)))


@router.post(
    PROOF_PATH,
    summary="Prove an e-mail address",
    openapi_extra=documented(ProofToken),
    response_model=EmailProved,
    responses=errors(502),
)
async def prove(request: Request, opened: Open) -> Response:
    """Take the token of a link that was sent by mail; it is good once. A form is answered by a page."""
    by_form = request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM
    given = dict(await request.form()) if by_form else await read_json_object(request)
    token = parsed(ProofToken, given).token
    if not token:
        raise invalid_request("token: give the one of the link", param="token")
    try:
        email = await prove_email(opened.database, opened.accounts, token)
    except Invalid as refusal:
        AUTH_REQUESTS.labels("verify_email", "refused").inc()
        if by_form:
            return _page(f"<p>{escape(refusal.message)}.</p>", status=400)
        raise
    AUTH_REQUESTS.labels("verify_email", "ok").inc()
    if by_form:
        return _page(f"<p>{escape(email)} is confirmed. You may close this page.</p>")
    return OrjsonResponse(EmailProved(email=email).model_dump())


def _page(content: str, *, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(content=content), status_code=status, headers=_HEADERS)
