"""Single sign-on: to the OpenID provider and back, as the authorization code flow with PKCE.

Whatever goes wrong ends at the sign-in page with a code; why is in the log, without tokens, codes
and e-mails.
"""

from __future__ import annotations

import asyncio
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse

from outlay.api.oidc_flow import FLOW_LIFE_S, HOME, Flow, Flows, page
from outlay.api.oidc_provider import (
    PATIENCE_S,
    Code,
    Discovery,
    Provider,
    admins,
    announced,
    check_settings,
    error_word,
)
from outlay.api.oidc_token import Person, SignOnError
from outlay.api.origins import is_loopback
from outlay.api.services import Services
from outlay.api.session import new_user_id
from outlay.api.sign_in import Attempts, TooManyAttemptsError, give_cookie, sign_in
from outlay.config import Settings
from outlay.errors import AuthError, BadRequestError, ConflictError, OutlayError
from outlay.store.base import Books
from outlay.store.people import Role, User

START: Final = "/v1/session/oidc/start"
CALLBACK: Final = "/v1/session/oidc/callback"
MAX_RETURNS: Final = 600
"""People who come back from the provider in one minute, all together."""
MAX_IN_HAND: Final = 32
"""Of them at the same time."""
MAX_CODE_CHARACTERS: Final = 4096
PORTAL: Final = "/portal/"

router = APIRouter()


class SingleSignOn:
    """Sign-ins by one provider. Used on one event loop only.

    Args:
        services: settings that are checked, the books and the clock.
        keys: secrets that the cookies' keys are made of; the first signs, all are believed.
        log: gets why somebody was not let in, and nothing of who it was.
    """

    def __init__(self, services: Services, keys: Sequence[str], log: Any) -> None:
        self.provider = Provider(services.settings, services.clock)
        self.log = log
        self.flows = Flows(keys, services.clock)
        self._clock = services.clock
        self._returns = Attempts(total=MAX_RETURNS)
        self._in_hand = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Count somebody who comes back, while there are not too many.

        Raises:
            SignOnError: there are.
        """
        try:
            self._returns.take(None, at=self._clock())
        except TooManyAttemptsError as error:
            raise SignOnError("busy", "too many came back in this minute") from error
        if self._in_hand >= MAX_IN_HAND:
            raise SignOnError("busy", "too many come back at once")
        self._in_hand += 1
        try:
            yield
        finally:
            self._in_hand -= 1


def single_sign_on(services: Services, keys: Sequence[str], log: Any) -> SingleSignOn | None:
    """Return what signs people in by the provider of the settings; `None` where there is none.

    Raises:
        ConfigError: the settings are wrong.
    """
    check_settings(services.settings)
    return SingleSignOn(services, keys, log) if services.settings.oidc_issuer else None


@router.get(START, status_code=302)
async def start(
    request: Request, after: Annotated[str, Query(alias="next")] = HOME
) -> RedirectResponse:
    """Send a browser to the OpenID provider, to sign in and come back."""
    public_url: str = request.app.state.public_url
    if _is_other_name(request, public_url):
        # The way back leads to the address we know: the cookie must be that one's.
        return _to(f"{public_url}{START}?{urlencode({'next': page(after)})}")
    sso: SingleSignOn | None = request.app.state.single_sign_on
    try:
        if sso is None:
            raise SignOnError("provider", "there is no OpenID provider in the settings")
        found = await _in_time(sso.provider.discovery())
        flow, cookie = sso.flows.begin(after)
    except SignOnError as error:
        return _refused(request, error)
    answer = _to(_authorize_url(request, found, flow))
    _keep(request, answer, cookie)
    return answer


@router.get(CALLBACK, status_code=302)
async def callback(
    request: Request, code: str = "", state: str = "", error: str = "", iss: str = ""
) -> RedirectResponse:
    """Let in who comes back from the OpenID provider, or say at the sign-in page why not."""
    sso: SingleSignOn | None = request.app.state.single_sign_on
    try:
        if sso is None:
            raise SignOnError("provider", "there is no OpenID provider in the settings")
        flow = sso.flows.resume(request.cookies.get(_cookie_name(request), ""), state)
    except SignOnError as failure:
        # The cookie stays: it may be that of a sign-in in another tab.
        return _refused(request, failure)
    try:
        with sso.place():
            person = await _in_time(_vouched(request, sso, flow, code, error, iss))
            answer = await _let_in(request, person, flow)
    except SignOnError as failure:
        answer = _refused(request, failure)
    except AuthError:  # `sign_in` has counted it
        answer = _refused(request, SignOnError("disabled", "disabled meanwhile"), count=False)
    except OutlayError as failure:
        answer = _refused(request, SignOnError("busy", f"the server: {failure.code}"))
    _keep(request, answer, "")
    return answer


async def _vouched(
    request: Request, sso: SingleSignOn, flow: Flow, code: str, error: str, iss: str
) -> Person:
    """Return whom the provider vouches for."""
    if error:
        raise SignOnError("provider", f"the provider refused: {error_word(error)}")
    if not announced(await sso.provider.discovery(), iss):
        raise SignOnError("provider", "the answer is of another issuer")
    if not 0 < len(code) <= MAX_CODE_CHARACTERS:
        raise SignOnError("provider", "there is no code in the answer, or one that is too long")
    return await sso.provider.person(Code(code, flow.verifier, flow.nonce, _redirect_uri(request)))


async def _let_in(request: Request, person: Person, flow: Flow) -> RedirectResponse:
    services: Services = request.app.state.services
    user = await services.books_workers.run(
        user_of, services.books, services.settings, person, at=services.clock()
    )
    _, token = await sign_in(request, user, "oidc")
    # A cookie may have been signed when other pages were ours.
    answer = _to(PORTAL if user.role == "tenant" else page(flow.next))
    give_cookie(request, answer, token)
    return answer


def user_of(books: Books, settings: Settings, person: Person, *, at: int) -> User:
    """Return the user that a person is, who may be made now. He keeps the role that he has.

    Raises:
        SignOnError: he is unknown and is not to be made, or disabled.
    """
    for _ in range(2):
        found = books.user_by_email(person.email)
        if found is not None and not found[0].email.endswith("@localhost"):
            if found[0].disabled:
                raise SignOnError("disabled", "the user is disabled")
            return found[0]
        role = _new_role(settings, person.email)
        user = User(new_user_id(at), person.email, person.name, role, way="oidc")
        try:
            return books.create_user(user, actor="oidc", at=at)
        except ConflictError:  # he has come twice at the same time
            continue
        except BadRequestError as error:
            raise SignOnError("email", "the e-mail cannot be kept") from error
    raise SignOnError("unknown_user", "the user cannot be made")


def _new_role(settings: Settings, email: str) -> Role:
    folded = email.strip().lower()
    # Who is of this machine signs in here only, whatever a provider calls its people.
    if folded.endswith("@localhost"):
        raise SignOnError("unknown_user", "the e-mail is one of this machine")
    if folded in admins(settings):
        return "admin"
    if settings.oidc_role in ("admin", "engineer", "finance"):
        return settings.oidc_role  # type: ignore[return-value]
    raise SignOnError("unknown_user", "the user is unknown, and `oidc_role` makes none")


async def _in_time(asked: Any) -> Any:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await asked
    except TimeoutError as error:
        raise SignOnError("provider", f"no answer in {PATIENCE_S} seconds") from error


def _authorize_url(request: Request, found: Discovery, flow: Flow) -> str:
    digest = hashlib.sha256(flow.verifier.encode()).digest()
    parts = urlsplit(found.authorization_endpoint)
    settings: Settings = request.app.state.services.settings
    asked = {
        "response_type": "code",
        "client_id": settings.oidc_client_id,
        "redirect_uri": _redirect_uri(request),
        "scope": "openid email profile",
        "state": flow.state,
        "nonce": flow.nonce,
        "code_challenge": urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    kept = [pair for pair in parse_qsl(parts.query) if pair[0] not in asked]
    return urlunsplit(parts._replace(query=urlencode([*kept, *asked.items()])))


def _redirect_uri(request: Request) -> str:
    return f"{request.app.state.public_url}{CALLBACK}"


def _is_other_name(request: Request, public_url: str) -> bool:
    """Tell whether a browser on this machine calls it by another name than we do."""
    if request.app.state.services.settings.public_url:
        return False
    here = urlsplit(public_url)
    try:
        said = urlsplit(f"//{request.headers.get('host', '')}")
        name, port = said.hostname or "", said.port or 80
    except ValueError:
        return False
    return is_loopback(name) and (name, port) != (here.hostname, here.port or 80)


def _cookie_name(request: Request) -> str:
    """Return the name; with `__Host-` a browser takes it from this very host and HTTPS only."""
    secure = request.app.state.public_url.startswith("https:")
    return "__Host-outlay_sign_on" if secure else "outlay_sign_on"


def _keep(request: Request, answer: RedirectResponse, cookie: str) -> None:
    """Put the cookie of a sign-in on an answer; without one, take it away.

    It is `Lax`: the provider's page sends the browser back.
    """
    answer.set_cookie(
        _cookie_name(request),
        cookie,
        max_age=FLOW_LIFE_S if cookie else 0,
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.app.state.public_url.startswith("https:"),
    )


def _refused(request: Request, error: SignOnError, *, count: bool = True) -> RedirectResponse:
    """Send a browser to the sign-in page, which says what it may; the log says why."""
    state = request.app.state
    if count:
        outcome = "too_many" if error.code == "busy" else "refused"
        state.metrics.sign_ins.labels("oidc", outcome).inc()
    if state.single_sign_on is not None:
        state.single_sign_on.log.warning("sign_on", code=error.code, reason=error.reason)
    return _to(f"/app/login?error={error.code}")


def _to(url: str) -> RedirectResponse:
    return RedirectResponse(url, status_code=302)
