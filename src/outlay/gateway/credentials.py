"""Finds the providers' credentials: in variables, in files, and from commands.

Values are kept while they are fresh, looked up by one task each, and used a little longer while a
look-up fails. No value is in a log line, an error or a `repr`. One event loop's own. Where a
credential is, is decided by `config`; one value is looked up by `secret_lookup`; `sigv4` signs.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from outlay.errors import UnavailableError
from outlay.gateway import sigv4
from outlay.gateway.config import AwsKeys, Credential, Place, Secret, Upstream
from outlay.gateway.secret_lookup import NotFoundError, named, read_file, run_command, unfit

MAX_COMMANDS: Final = 8
"""Commands that run at once, of all credentials."""
CHECK_S: Final = 1.0
"""How long a file is taken to be the same without looking."""
EARLY: Final = 0.8
"""Part of a command's `refresh_s` after which it runs again in the background."""
MAX_STALE_S: Final = 300.0
"""How long after `refresh_s` a value is still used while looking it up fails."""
RETRY_S: Final = 5.0
"""Between a look-up that failed and the next."""

_HEADERS: Final[Mapping[Place, tuple[str, str]]] = {
    "bearer": ("authorization", "Bearer "),
    "x-api-key": ("x-api-key", ""),
    "api-key": ("api-key", ""),
    "x-goog-api-key": ("x-goog-api-key", ""),
}


class CredentialError(UnavailableError):
    """A provider's credential is not there."""

    code = "credential_missing"
    hint = "Set the variable, the file or the command that the gateway's configuration names."


def placed(place: Place, value: str) -> tuple[str, str]:
    """Return the header, its name and value, that carries a credential.

    A signature of AWS is not one value: see `Credentials.headers_for`.
    """
    name, before = _HEADERS[place]
    return name, before + value


@dataclass(slots=True, eq=False)
class _Kept:
    """What is known of a file's or a command's value. Times are of the clock, in seconds."""

    value: str | None = field(default=None, repr=False)
    at: float = 0.0
    """When the value was last known to be right."""
    read_at: float = 0.0
    """When a file was last read, not only looked at."""
    stamp: tuple[int, ...] = ()
    """What tells a file from a changed one."""
    failed_at: float | None = None
    """When the last look-up failed; `None` if it did not."""
    error: str = ""
    task: asyncio.Task[None] | None = None


class Credentials:
    """Finds and keeps credentials. Belongs to one event loop.

    Args:
        env: environment variables, read each time; `None` is the process's own.
        clock: seconds that only grow.
        log: a structlog logger; told once when looking up begins to fail, and when it works again.
    """

    def __init__(
        self,
        env: Mapping[str, str] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        log: Any = None,
    ) -> None:
        self._env: Mapping[str, str] = os.environ if env is None else env
        self._clock = clock
        self._log = log
        self._kept: dict[Secret, _Kept] = {}
        self._commands = asyncio.Semaphore(MAX_COMMANDS)
        self._chain = sigv4.DefaultChain(clock)
        self._chain_task: asyncio.Task[None] | None = None

    def ready(self, credential: Credential) -> str | None:
        """Return a value that is known and fresh; else, or if it is AWS's, `None`: `find` it."""
        return None if credential.secret is None else self._ready(credential.secret)

    async def find(self, credential: Credential) -> str:
        """Return the value, after looking it up if it must be.

        Raises:
            CredentialError: it is not there; the message says where it was looked for.
        """
        if credential.secret is None:
            raise CredentialError("This credential is a signature, not one value.")
        return await self._find(credential.secret)

    async def headers_for(
        self,
        credential: Credential,
        upstream: Upstream,
        *,
        method: str,
        url: str,
        headers: Iterable[tuple[str, str]],
        body: bytes = b"",
    ) -> list[tuple[str, str]]:
        """Return the headers that carry a credential on one request, whatever its place.

        Args:
            credential: whose headers.
            upstream: where the request goes; its region is signed.
            method: in capitals.
            url: exactly as it is sent, percent-encoding and query included.
            headers: what is sent besides; `sigv4.REPLACED` must not be sent from them.
            body: the whole body, exactly as it is sent; a signature covers it.

        Raises:
            CredentialError: the credential is not there.
        """
        if credential.place != "aws":
            return [placed(credential.place, self.ready(credential) or await self.find(credential))]
        keys = await self._aws_keys(credential.aws or AwsKeys())
        sign = functools.partial(
            sigv4.sign,
            sigv4.SignedRequest(method, url, tuple(headers), body),
            keys=keys,
            region=upstream.region,
            at=time.time(),
        )
        try:
            if len(body) > sigv4.HASHED_IN_PLACE_BYTES or not sigv4.is_loaded():
                return await asyncio.to_thread(sign)
            return sign()
        except sigv4.SigningError as error:
            raise CredentialError(str(error)) from None

    def keep_only(self, used: Iterable[Credential]) -> None:
        """Forget every value that no credential in use names, after the configuration changed."""
        wanted: set[Secret | None] = set()
        for credential in used:
            wanted.add(credential.secret)
            if credential.aws is not None:
                aws = credential.aws
                wanted.update((aws.access_key, aws.secret_key, aws.session_token))
        for secret in [secret for secret in self._kept if secret not in wanted]:
            kept = self._kept.pop(secret)
            if kept.task is not None:
                kept.task.cancel()

    async def close(self) -> None:
        """End what is being looked up, commands included, and forget everything."""
        tasks = [kept.task for kept in self._kept.values() if kept.task is not None]
        self.keep_only(())
        if self._chain_task is not None:
            tasks.append(self._chain_task)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _aws_keys(self, aws: AwsKeys) -> sigv4.Keys:
        if aws.access_key is None or aws.secret_key is None:
            return await self._chain_keys()
        token = "" if aws.session_token is None else await self._find(aws.session_token)
        return sigv4.Keys(await self._find(aws.access_key), await self._find(aws.secret_key), token)

    async def _chain_keys(self) -> sigv4.Keys:
        keys = self._chain.ready()
        if self._chain_task is None and self._chain.due():
            self._chain_task = asyncio.get_running_loop().create_task(self._renewed())
        if keys is None and self._chain_task is not None:
            await asyncio.wait((self._chain_task,))
            keys = self._chain.ready()
        if keys is None:
            raise CredentialError(self._chain.problem or "AWS credentials were not looked up.")
        return keys

    async def _renewed(self) -> None:
        failing = bool(self._chain.problem)
        try:
            await asyncio.to_thread(self._chain.renew)
        finally:
            self._chain_task = None
        if bool(self._chain.problem) != failing:
            self._say("AWS", self._chain.problem)

    def _ready(self, secret: Secret) -> str | None:
        if secret.kind == "env":
            value = self._env.get(secret.name, "").strip()
            return value if value and not unfit(value) else None
        kept = self._kept.get(secret)
        if kept is None or kept.value is None:
            return None
        age = self._clock() - kept.at
        if secret.kind == "file":
            return kept.value if age < min(CHECK_S, secret.refresh_s) else None
        if age >= secret.refresh_s:
            return None
        if age >= secret.refresh_s * EARLY:
            self._look(secret, kept)
        return kept.value

    async def _find(self, secret: Secret) -> str:
        if (value := self._ready(secret)) is not None:
            return value
        if secret.kind == "env":
            problem = unfit(self._env.get(secret.name, "").strip()) or "is not set"
            raise CredentialError(f"The variable {secret.name} {problem}.")
        kept = self._kept.setdefault(secret, _Kept())
        task = self._look(secret, kept)
        # After a failure the value is used at once, and looked up meanwhile.
        if task is not None and (kept.failed_at is None or self._usable(secret, kept) is None):
            # A caller that goes away does not take the look-up from the others.
            await asyncio.wait((task,))
        if (value := self._usable(secret, kept)) is None:
            raise CredentialError(kept.error or f"{named(secret)} was not looked up.")
        return value

    def _usable(self, secret: Secret, kept: _Kept) -> str | None:
        fresh = self._clock() - kept.at < secret.refresh_s + MAX_STALE_S
        return kept.value if fresh else None

    def _look(self, secret: Secret, kept: _Kept) -> asyncio.Task[None] | None:
        """Begin a look-up, if none is on its way and the last failure is not too near."""
        if kept.task is None:
            if kept.failed_at is not None and self._clock() - kept.failed_at < RETRY_S:
                return None
            kept.task = asyncio.get_running_loop().create_task(self._looked_up(secret, kept))
        return kept.task

    async def _looked_up(self, secret: Secret, kept: _Kept) -> None:
        try:
            if secret.kind == "file":
                fresh = self._clock() - kept.read_at < secret.refresh_s
                known = kept.stamp if fresh else ()
                kept.stamp, value = await asyncio.to_thread(read_file, secret.name, known)
            else:
                async with self._commands:
                    value = await run_command(secret.argv)
            kept.at = self._clock()
            if value is not None:
                kept.value, kept.read_at = value, kept.at
            if kept.failed_at is not None:
                self._say(named(secret))
            kept.failed_at, kept.error = None, ""
        except NotFoundError as error:
            self._failed(secret, kept, str(error))
        except Exception as error:  # its text may hold anything
            self._failed(secret, kept, f"cannot be looked up: {type(error).__name__}")
        finally:
            kept.task = None

    def _failed(self, secret: Secret, kept: _Kept, problem: str) -> None:
        first = kept.failed_at is None
        kept.failed_at = self._clock()
        kept.error = f"{named(secret)} {problem}."
        if first:
            self._say(named(secret), problem)

    def _say(self, source: str, problem: str = "") -> None:
        if self._log is None:
            return
        if problem:
            self._log.warning("credential not found", source=source, problem=problem)
        else:
            self._log.info("credential found again", source=source)
