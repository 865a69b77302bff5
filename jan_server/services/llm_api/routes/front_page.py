"""The page at the platform's address itself: where a person who opens it can go from there."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from jan_server.http.json_body import OrjsonResponse
from jan_server.services.llm_api.routes.public_origin import public_origin

router = APIRouter(include_in_schema=False)

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Vary": "Accept",
}
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Jan Server</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; }}
  pre {{ background: #8882; padding: .75rem; overflow-x: auto; }}
  :root {{ color-scheme: light dark; }}
</style>
<h1>Jan Server</h1>
<p>This is an API that OpenAI's and Anthropic's clients can use.</p>
<ul>
  <li><a href="/api/swagger">API documentation</a>, to read and to try</li>
  <li><a href="/readyz">Status</a></li>
</ul>
<h2>A token</h2>
<pre>curl -X POST {origin}/auth/guest-login</pre>
<p>The answer's <code>access_token</code> goes into each request:</p>
<pre>curl {origin}/v1/models -H "Authorization: Bearer $TOKEN"</pre>
<p>Clients of OpenAI take it as their API key, and <code>{origin}/v1</code> as their base URL.</p>
</html>
"""


@router.api_route("/", methods=["GET", "HEAD"])
async def front_page(request: Request) -> Response:
    """A page for browsers, the same links as JSON for everybody else."""
    origin = public_origin(request)
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_PAGE.format(origin=escape(origin)), headers=_HEADERS)
    links = {
        "name": "Jan Server",
        "documentation": f"{origin}/api/swagger",
        "status": f"{origin}/readyz",
        "token": f"{origin}/auth/guest-login",
        "base_url": f"{origin}/v1",
    }
    return OrjsonResponse(links, headers=_HEADERS)
