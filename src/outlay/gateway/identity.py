"""Who calls: the virtual key that a request shows, and what its signed context tells.

It owns what of key and context holds, and that no tenant comes from anywhere else. It is asked for
every request, so what follows from a key alone is made once. Where a key may stand is `shown`'s,
what it may be used for `core.virtual_keys`'.

The key's own words go before the context's: it is bound to a tenant, a feature, an agent. A context
adds to them: a user, a request, the agents below. A service's key has no tenant of its own and
takes the context's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

from outlay.capture.retries import SharedMemory
from outlay.capture.scope import VERIFIED_BY, Scope, text
from outlay.core.context import clip
from outlay.core.envelope import Fault, Sealed, envelope_in, judge
from outlay.core.event import MAX_LABELS
from outlay.core.virtual_keys import MAX_SECRET_CHARACTERS, PREFIX, VirtualKey
from outlay.gateway.config import GatewayConfig
from outlay.gateway.problems import Problem
from outlay.gateway.shown import Carrier, Headers, read_request

KEY_LABEL: Final = "virtual_key"
"""The label of every event that names its virtual key."""
MAX_KNOWN: Final = 4096
"""Keys, and contexts of keys, whose attribution is kept ready; all are dropped when it is full."""
MAX_MEMORIES: Final = 4096
"""Keys, with tenant and agent, whose failed attempts are remembered; the oldest goes first."""
STALE_RETRY_S: Final = 5.0
"""When to try again while it is not known which keys are still good."""

Priority = Literal["interactive", "background"]

_WHY: Final[dict[str, str]] = {
    "": "It carries none.",
    "verified": "The one it carries names no tenant.",
    "no_secret": "The gateway has no `context_secret`.",
    "malformed": "The one it carries is damaged, or of another version.",
    "unknown_secret": "The one it carries is signed with a secret that the gateway does not have.",
    "bad_signature": "The signature of the one it carries does not hold.",
    "expired": "The one it carries is too old.",
    "not_yet": "The one it carries is from the future: compare the clocks.",
}


class Keys(Protocol):
    """Where virtual keys are found."""

    def find(self, secret: str) -> VirtualKey | None:
        """Return the key that a secret is of, whether or not it is still good."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, and for whom."""

    key: VirtualKey
    scope: Scope
    """Attribution, as the SDK has it inside a context; shared by all requests that are alike."""
    priority: Priority
    carrier: Carrier
    passes_credential: bool
    """The client also sends a provider's credential of its own; whether it may, the upstream's
    `client_credentials` tells."""
    context: Literal["", "verified", "no_secret"] | Fault = ""
    """What became of the request's signed context; empty: it has none."""


class _Known(NamedTuple):
    """What follows from a key, or from a key and a context."""

    key: VirtualKey
    scope: Scope
    priority: Priority
    sealed: Sealed | None


class _Told:
    """The opener of every scope here: its ids were made elsewhere.

    So limits of one request or run are counted together with all other processes.
    """

    def gives(self, name: str) -> bool:  # noqa: ARG002 - as `capture.scope.Opener` has it
        """Tell whether a value was said from outside."""
        return True


_TOLD: Final = _Told()


class Callers:
    """Finds who calls. For one event loop."""

    def __init__(self, keys: Keys, secrets: Sequence[str] = ()) -> None:
        """Take where keys are found, and the secrets that signed contexts are believed by."""
        self._keys = keys
        self._secrets = tuple(secrets)
        self._known: dict[tuple[str, str], _Known] = {}
        self._memories: OrderedDict[tuple[str, str, str], SharedMemory] = OrderedDict()

    def find(
        self, headers: Headers, query: bytes, *, config: GatewayConfig, at: int, fresh: bool
    ) -> Caller:
        """Return who makes a request.

        Args:
            headers: as they came; names in any case.
            query: without the question mark.
            config: the gateway's.
            at: microseconds UTC.
            fresh: whether it is known which keys are still good.

        Raises:
            Problem: nobody that is known, or for no tenant that the key may name.
        """
        shown = read_request(headers, query)
        carrier = shown.carrier
        if carrier is None:
            raise _no_key(shown.foreign)
        if not fresh:
            said = "The gateway does not know, yet or any more, which keys are good."
            raise Problem(503, "keys_stale", said, retry_after_s=STALE_RETRY_S)
        key = self._key(shown.secret, at)
        known, context = self._attributed(key, shown.baggage, at)
        scope = known.scope
        if "tenant_id" not in scope.values and config.unknown_tenant == "refuse":
            raise Problem(
                403,
                "no_tenant",
                "The key belongs to a service, and only a signed context tells its tenant.",
                hint=f"{_WHY[context]} Send what `outlay.carry()` returns inside a context with "
                "a tenant, or use a tenant's key.",
            )
        if shown.trace and "trace_id" not in scope.values:
            values = {**scope.values, "trace_id": shown.trace}
            scope = Scope(values, scope.labels, outer=scope, opener=_TOLD)
        passes = carrier == "outlay-key" and shown.foreign and not shown.mixed
        return Caller(key, scope, known.priority, carrier, passes, context)

    def _key(self, shown: bytes, at: int) -> VirtualKey:
        key = None
        if len(shown) <= MAX_SECRET_CHARACTERS and shown.startswith(PREFIX.encode()):
            key = self._keys.find(shown.decode("latin-1"))
        if key is None:
            said = "The gateway does not know this virtual key."
            raise Problem(401, "unknown_key", said, hint="`outlay virtual-keys create` makes one.")
        ended = key.problem(at)
        if ended:
            said = f"The virtual key `{key.key_id}` is {ended}."
            raise Problem(401, f"key_{ended}", said, hint="Ask for a new one.")
        return key

    def _attributed(
        self, key: VirtualKey, baggage: str, at: int
    ) -> tuple[_Known, Literal["", "verified", "no_secret"] | Fault]:
        """Return what key and context say together, and what became of the context."""
        envelope = envelope_in(baggage) if baggage else ""
        if not envelope:
            return self._plain(key), ""
        if not self._secrets:
            return self._plain(key), "no_secret"
        known = self._known.get((key.key_id, envelope))
        if known is None or known.key is not key or known.sealed is None or known.sealed.fault(at):
            sealed, fault = judge(envelope, self._secrets, at)
            if sealed is None:
                return self._plain(key), fault or "malformed"
            known = self._keep(envelope, key, sealed)
        return known, "verified"

    def _plain(self, key: VirtualKey) -> _Known:
        known = self._known.get((key.key_id, ""))
        # The very same object: a key that was changed is another one.
        return known if known is not None and known.key is key else self._keep("", key, None)

    def _keep(self, envelope: str, key: VirtualKey, sealed: Sealed | None) -> _Known:
        values = _values(key, sealed)
        scope = Scope(values, _labels(key, sealed), opener=_TOLD)
        tenant, agent = values.get("tenant_id", ""), values.get("agent_path", "")
        scope.memory = self._memory((key.key_id, tenant, agent))
        background = (key.priority or values.get("initiator")) in ("background", "system")
        known = _Known(key, scope, "background" if background else "interactive", sealed)
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[key.key_id, envelope] = known
        return known

    def _memory(self, place: tuple[str, str, str]) -> SharedMemory:
        """Return the memory of failed attempts that all requests of a key share.

        Those for one tenant and agent do: a service's key serves several.
        """
        memories = self._memories
        memory = memories.get(place)
        if memory is None:
            if len(memories) >= MAX_MEMORIES:
                memories.popitem(last=False)
            memory = memories[place] = SharedMemory()
        else:
            memories.move_to_end(place)
        return memory


def _values(key: VirtualKey, sealed: Sealed | None) -> dict[str, str]:
    """Return the attribution of key and context.

    Raises:
        Problem: the context names another tenant than the key's.
    """
    values = {} if sealed is None else {**sealed.values, VERIFIED_BY: sealed.key_id}
    tenant = values.get("tenant_id")
    if key.tenant_id is not None:
        bound = text(key.tenant_id)
        if tenant is not None and tenant != bound:
            raise Problem(
                403,
                "tenant_mismatch",
                "The request's signed context names another tenant than the virtual key's.",
                hint="Use that tenant's key, or a service's key without a tenant.",
            )
        values["tenant_id"], values["tenant_source"] = bound, "key"
    elif tenant is not None:
        values["tenant_source"] = "request"
    bound_to = {
        "feature": key.feature, "workspace_id": key.workspace, "initiator": key.initiator,
    }  # fmt: skip
    values.update((name, text(value)) for name, value in bound_to.items() if value)
    if key.agent:
        values["agent_path"] = _path(text(key.agent), values.get("agent_path", ""))
    return values


def _path(bound: str, told: str) -> str:
    """Return where in the tree work is done with a key that is bound to an agent: there or below.

    What the context tells is below it as it is, or is put there.
    """
    if not told or told == bound:
        return bound
    return told if told.startswith(f"{bound}/") else clip(f"{bound}/{told}")


def _labels(key: VirtualKey, sealed: Sealed | None) -> dict[str, str]:
    told = {} if sealed is None else {**sealed.labels}
    told.pop(KEY_LABEL, None)
    return dict([(KEY_LABEL, key.key_id), *told.items()][:MAX_LABELS])


def _no_key(foreign: bool) -> Problem:
    hint = "Send one where the provider's key goes, or in the header `outlay-key`."
    if foreign:
        hint = f"What it shows is no key of the gateway's. {hint}"
    return Problem(401, "no_key", "The request shows no virtual key (`ov_…`).", hint=hint)
