"""The forms of the log-in pages, and what binds them to the browser that got them.

Every form carries the client's request, sealed with the realm's secret and bound to a cookie
of this browser, so no other site can submit it and nothing is stored before a log-in
succeeds. Cookies are set without a path: the browser then keeps them to the folder of these
pages, whatever prefix a gateway put before it (RFC 6265, section 5.1.4).
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from jan_server.identity.authorization import AuthorizationRequest
from jan_server.identity.errors import IdentityError
from jan_server.identity.pages import message, page
from jan_server.identity.realm import Realm
from jan_server.identity.resources import Resources, realm_of, resources_of
from jan_server.identity.sessions import fingerprint

SESSION_COOKIE = "JAN_SESSION"
FORM_COOKIE = "JAN_LOGIN_FORM"

LOGIN = "Login"
NEW_PASSWORD = "NewPassword"  # noqa: S105 - the kind of a sealed form

SORRY = "We are sorry …"


@dataclass(frozen=True, slots=True)
class Visit:
    """A browser on the log-in pages.

    Attributes:
        http: The HTTP request.
        resources: The app's resources.
        realm: The realm.
        form_cookie: The secret that binds forms to this browser.
    """

    http: Request
    resources: Resources
    realm: Realm
    form_cookie: str

    def seal(self, kind: str, request: AuthorizationRequest, **more: Any) -> str:
        """The client's request as a form carries it."""
        return self.realm.keys.seal(
            {
                "typ": kind,
                "exp": int(time.time()) + self.realm.seconds("accessCodeLifespanLogin"),
                "request": request.parameters(),
                "browser": fingerprint(self.form_cookie),
                **more,
            }
        )

    def unseal(self, kind: str, sealed: str) -> Mapping[str, Any] | None:
        """What a form carried, if this browser got it from here and not long ago."""
        claims = self.realm.keys.unseal(sealed)
        if claims is None or claims["typ"] != kind or not self.http.cookies.get(FORM_COOKIE):
            return None
        return claims if hmac.compare_digest(str(claims["browser"]), fingerprint(self.form_cookie)) else None

    def set_cookie(self, response: Response, name: str, value: str, max_age: int | None = None) -> None:
        """Give the browser a cookie that only these pages see."""
        response.set_cookie(
            name,
            value,
            max_age=max_age,
            path=None,
            httponly=True,
            samesite="lax",
            secure=is_secure(self.http),
        )

    def shown(self, response: Response) -> Response:
        """A page with a form, and the cookie that binds the form to this browser."""
        self.set_cookie(response, FORM_COOKIE, self.form_cookie)
        return response


def is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, to this server or to a proxy before it."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", "").split(",")[0].strip())


async def visit_of(http: Request) -> Visit:
    """The visit that a request belongs to; a browser that comes first gets a new secret."""
    cookie = http.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
    return Visit(http, resources_of(http), await realm_of(http), cookie)


def sorry(realm: Realm, text: str) -> Response:
    """The page of something that cannot be done."""
    return message(realm, SORRY, text, status=400)


def expired(realm: Realm) -> Response:
    """The page of a form that this browser did not get from here, or got long ago."""
    return sorry(realm, "This page has expired. Go back to the application and sign in again.")


def login_page(
    visit: Visit,
    request: AuthorizationRequest,
    *,
    username: str | None = None,
    remembered: bool = False,
    error: str = "",
    status: int = 200,
) -> Response:
    """The log-in page."""
    registration = f"registrations?{urlencode(request.parameters())}"
    return page(
        visit.realm,
        "login.html",
        status=status,
        request=visit.seal(LOGIN, request),
        username=request.login_hint if username is None else username,
        error=error,
        remember_me=visit.realm.flag("rememberMe"),
        remembered=remembered,
        email_is_username=visit.realm.email_is_username,
        registration=registration if visit.realm.flag("registrationAllowed") else "",
    )


def registration_page(
    visit: Visit, request: AuthorizationRequest, *, form: Mapping[str, str] | None = None, error: str = ""
) -> Response:
    """The page on which a person makes an account."""
    kept = {name: (form or {}).get(name, "") for name in ("username", "email", "firstName", "lastName")}
    return page(
        visit.realm,
        "register.html",
        request=visit.seal(LOGIN, request),
        form=kept,
        error=error,
        email_is_username=visit.realm.email_is_username,
        login=f"auth?{urlencode(request.parameters())}",
    )


@dataclass(frozen=True, slots=True)
class Replacement:
    """A temporary password that a person is about to replace.

    Attributes:
        user_id: Whose it is.
        chosen_at: When it was set, as text: the form is good for this password and for no later one.
        remembered: Whether the browser shall be remembered.
    """

    user_id: str
    chosen_at: str
    remembered: bool


def new_password_page(
    visit: Visit, request: AuthorizationRequest, replaced: Replacement, *, error: str = ""
) -> Response:
    """The page on which a person replaces a temporary password."""
    sealed = visit.seal(
        NEW_PASSWORD,
        request,
        user=replaced.user_id,
        chosen=replaced.chosen_at,
        remembered=replaced.remembered,
    )
    return page(visit.realm, "password.html", request=sealed, error=error)


def login_words(realm: Realm, refusal: IdentityError) -> str:
    """What a person is told whose log-in failed."""
    description = str(refusal.body.get("error_description", ""))
    if refusal.status == 429 or "temporarily disabled" in description:
        return f"{description}."
    return "Invalid email or password." if realm.email_is_username else "Invalid user name or password."


def registration_words(refusal: IdentityError) -> str:
    """What a person is told whose account or password cannot be made."""
    field = str(refusal.body.get("field", ""))
    error = str(refusal.body.get("errorMessage", ""))
    if refusal.status == 409:
        return "There is an account with this email already."
    if error == "error-invalid-email" or (field == "email" and error):
        return "Enter a valid email address."
    if field in ("firstName", "lastName"):
        return "A name holds characters that are not accepted, or is too long."
    if field == "username" or error == "User name is missing":
        return "Enter a user name without spaces or special characters."
    return str(refusal.body.get("error_description") or "Enter a password.")
