"""Keys from where AWS's own tools look: renewed in time, and used to their end if that fails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.credentials import Credentials, RefreshableCredentials

from outlay.gateway import sigv4
from outlay.gateway.sigv4 import DefaultChain, Keys
from tests.unit.gateway.aws_signature import ACCESS, HIDDEN, TOKEN
from tests.unit.gateway.secrets_site import Clock


class Renewing:
    """Keys of botocore that end, as a container's or a role's do."""

    def __init__(self, lasting_s: float = 3600) -> None:
        self.lasting_s = lasting_s
        self.renewals = 0
        self.fails = False
        self.found = RefreshableCredentials.create_from_metadata(
            self.renew(), refresh_using=self.renew, method="test"
        )

    def renew(self) -> dict[str, str]:
        if self.fails:
            raise OSError(f"no answer about {HIDDEN}")
        self.renewals += 1
        ends = datetime.now(UTC) + timedelta(seconds=self.lasting_s)
        return {
            "access_key": f"{ACCESS}{self.renewals}", "secret_key": HIDDEN, "token": TOKEN,
            "expiry_time": ends.isoformat(),
        }  # fmt: skip

    def let_pass(self, seconds: float) -> None:
        self.found._expiry_time -= timedelta(seconds=seconds)


def chain_of(look: Callable[[], Any]) -> tuple[DefaultChain, Clock]:
    clock = Clock()
    return DefaultChain(clock, look), clock


def test_keys_are_found_once_and_renewed_before_they_end() -> None:
    source = Renewing()
    chain, clock = chain_of(lambda: source.found)
    assert chain.ready() is None
    assert chain.due()
    chain.renew()
    assert chain.ready() == Keys(f"{ACCESS}1", HIDDEN, TOKEN)
    clock.now += sigv4.RETRY_S
    assert not chain.due()

    source.let_pass(3600 - 14 * 60)
    assert chain.due()
    assert chain.ready() == Keys(f"{ACCESS}1", HIDDEN, TOKEN)  # and nobody waits
    assert source.renewals == 1
    chain.renew()
    assert chain.ready() == Keys(f"{ACCESS}2", HIDDEN, TOKEN)
    assert not chain.due()


def test_keys_that_nearly_end_are_waited_for() -> None:
    source = Renewing()
    chain, clock = chain_of(lambda: source.found)
    chain.renew()
    source.let_pass(3600 - sigv4.LAST_S + 1)
    clock.now += sigv4.RETRY_S
    assert chain.ready() is None
    assert chain.due()


def test_while_renewing_fails_keys_are_used_to_their_end() -> None:
    source = Renewing()
    chain, clock = chain_of(lambda: source.found)
    chain.renew()
    source.fails = True
    source.let_pass(3600 - 14 * 60)
    clock.now += sigv4.RETRY_S
    chain.renew()
    assert chain.problem == "AWS credentials end, and are not renewed."
    assert not chain.due()
    source.let_pass(14 * 60 - 5)
    assert chain.ready() is not None
    source.let_pass(5)
    assert chain.ready() is None
    clock.now += sigv4.RETRY_S
    assert chain.due()
    chain.renew()
    assert chain.problem == "AWS credentials cannot be found: OSError."
    source.fails = False
    chain.renew()
    assert (chain.problem, chain.ready()) == ("", Keys(f"{ACCESS}2", HIDDEN, TOKEN))


def test_keys_that_last_a_short_time_are_no_problem() -> None:
    source = Renewing(lasting_s=300)
    chain, clock = chain_of(lambda: source.found)
    for _ in range(3):
        chain.renew()
        assert chain.problem == ""
        assert chain.ready() is not None
        assert not chain.due()  # not again for every request
        clock.now += sigv4.RETRY_S
        assert chain.due()


def test_keys_that_never_end_are_looked_for_again_now_and_then() -> None:
    found = [Credentials(f"{ACCESS}{n}", HIDDEN) for n in range(2)]
    chain, clock = chain_of(lambda: found.pop(0))
    chain.renew()
    clock.now += sigv4.LOOK_S - 1
    assert not chain.due()
    clock.now += 1
    assert chain.due()
    assert chain.ready() == Keys(f"{ACCESS}0", HIDDEN)
    chain.renew()
    assert chain.ready() == Keys(f"{ACCESS}1", HIDDEN)
    clock.now += sigv4.LOOK_S
    chain.renew()  # there are none any more: the ones before may still be good
    assert chain.problem == "AWS credentials cannot be found: IndexError."
    assert chain.ready() == Keys(f"{ACCESS}1", HIDDEN)
