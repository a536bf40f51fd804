"""Forged, foreign, stale and incomplete ID tokens, each given by a provider at the right moment."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from outlay.api.oidc_token import (
    LEEWAY_S,
    MAX_NAME_BYTES,
    MAX_RSA_BITS,
    MAX_TOKEN_CHARACTERS,
    Expected,
    SignOnError,
    person_of,
)
from tests.unit.api.oidc_issuer import CLIENT, Issuer, private_key, public_jwk
from tests.unit.api.oidc_walk import Stage, refused
from tests.unit.api.site import NOW

NOW_S = NOW // 1_000_000
Change = Callable[[Issuer], None]


@pytest.fixture(scope="module")
def one_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("oidc"), oidc_role="finance") as made:
        yield made


@pytest.fixture
def stage(one_stage: Stage) -> Iterator[Stage]:
    """A stage whose issuer is as it was after each test."""
    issuer = one_stage.issuer
    kept = {name: vars(issuer)[name] for name in ("claims", "headers", "sign", "keys", "key")}
    yield one_stage
    vars(issuer).update(kept)
    one_stage.site.app.state.single_sign_on.provider._keys = None


def says(**claims: Any) -> Change:
    """Let a provider say something else in a token that it signs; `...` leaves a claim out."""

    def change(issuer: Issuer) -> None:
        issuer.claims = {**issuer.claims, **claims}

    return change


def signs(sign: Callable[[Issuer, dict[str, Any]], str]) -> Change:
    """Let somebody else make the token."""

    def change(issuer: Issuer) -> None:
        issuer.sign = lambda claims: sign(issuer, claims)

    return change


def heads(**headers: Any) -> Change:
    def change(issuer: Issuer) -> None:
        issuer.headers = headers

    return change


def publishes(**parts: Any) -> Change:
    def change(issuer: Issuer) -> None:
        issuer.keys = [{**issuer.keys[0], **parts}]

    return change


def unsigned(issuer: Issuer, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, "", algorithm="none", headers={"kid": issuer.kid})


def with_public_key(issuer: Issuer, claims: dict[str, Any]) -> str:
    """Sign with the published key as if it were a shared secret; no library makes that."""
    pem = issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    parts = [{"alg": "HS256", "kid": issuer.kid}, claims]
    text = b".".join(urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in parts)
    mark = hmac.digest(pem, text, hashlib.sha256)
    return (text + b"." + urlsafe_b64encode(mark).rstrip(b"=")).decode()


def by_other_key(issuer: Issuer, claims: dict[str, Any]) -> str:
    return jwt.encode(claims, private_key("RS256", 9), "RS256", headers={"kid": issuer.kid})


def bent(_issuer: Issuer, claims: dict[str, Any]) -> str:
    token = _issuer._sign(claims)
    head, _, tail = token.split(".")
    body = urlsafe_b64encode(json.dumps({**claims, "email": "boss@example.com"}).encode())
    return f"{head}.{body.rstrip(b'=').decode()}.{tail}"


def small_key(issuer: Issuer) -> None:
    issuer.keys = [public_jwk(private_key("RS256", 5, 1024), issuer.kid)]


def large_key(issuer: Issuer) -> None:
    modulus = (2**MAX_RSA_BITS + 1).to_bytes(MAX_RSA_BITS // 8 + 1, "big")
    issuer.keys = [{**issuer.keys[0], "n": urlsafe_b64encode(modulus).decode().rstrip("=")}]


def two_keys_and_no_name(issuer: Issuer) -> None:
    issuer.keys = [*issuer.keys, public_jwk(private_key("RS256", 9), "other")]
    issuer.headers = {"kid": ...}


BAD: dict[str, tuple[Change, str, str]] = {
    "nonce of another": (says(nonce="x" * 43), "provider", "the nonce differs"),
    "no nonce": (says(nonce=...), "provider", "the nonce differs"),
    "alg none": (signs(unsigned), "provider", "not signed by an algorithm"),
    "public key as secret": (signs(with_public_key), "provider", "not signed by an algorithm"),
    "key of another": (signs(by_other_key), "provider", "wrong signature"),
    "bent": (signs(bent), "provider", "wrong signature"),
    "no token": (signs(lambda *_: "a.b"), "provider", "is no JSON Web Token"),
    "empty": (signs(lambda *_: ""), "provider", "gave no ID token"),
    "too long": (
        signs(lambda *_: "a" * (MAX_TOKEN_CHARACTERS + 1)), "provider", "longer than"
    ),
    "crit": (heads(crit=["b64x"], b64x=True), "provider", "is no JSON|rules that are not"),
    "kid unknown": (heads(kid="nobody's"), "provider", "no key of the ID token's name"),
    "kid of encryption": (publishes(use="enc"), "provider", "no key of the ID token's name"),
    "key of another alg": (publishes(alg="PS256"), "provider", "no key of the ID token's name"),
    "key that is none": (publishes(n="x"), "provider", "RSA key|cannot be read|wrong signature"),
    "small key": (small_key, "provider", "not of 2048"),
    "large key": (large_key, "provider", "not of 2048"),
    "which key": (two_keys_and_no_name, "provider", "which of several keys"),
    "iss of another": (says(iss="https://evil.example"), "provider", "another issuer"),
    "no iss": (says(iss=...), "provider", "another issuer"),
    "aud of another": (says(aud="other"), "provider", "another audience"),
    "aud list of others": (says(aud=["other"]), "provider", "another audience"),
    "aud in another": (says(aud=f"{CLIENT}x"), "provider", "another audience"),
    "no aud": (says(aud=...), "provider", "another audience"),
    "two aud, no azp": (says(aud=[CLIENT, "other"]), "provider", "another party"),
    "azp of another": (says(azp="other"), "provider", "another party"),
    "expired": (says(exp=NOW_S - LEEWAY_S), "provider", "has expired"),
    "no exp": (says(exp=...), "provider", "no time in `exp`"),
    "exp as text": (says(exp="never"), "provider", "no time in `exp`"),
    "exp too far": (says(exp=10**30), "provider", "no time in `exp`"),
    "no iat": (says(iat=...), "provider", "no time in `iat`"),
    "iat ahead": (says(iat=NOW_S + LEEWAY_S + 1), "provider", "not valid yet"),
    "nbf ahead": (says(nbf=NOW_S + LEEWAY_S + 1), "provider", "not valid yet"),
    "no sub": (says(sub=...), "provider", "names nobody"),
    "sub is a number": (says(sub=7), "provider", "names nobody"),
    "unverified": (says(email_verified=False), "email", "not verified"),
    "unverified as text": (says(email_verified="false"), "email", "not verified"),
    "verified is null": (says(email_verified=None), "email", "not verified"),
    "no email": (says(email=...), "email", "no `email`"),
    "email is a list": (says(email=["ann@example.com"]), "email", "no `email`"),
    "email too long": (says(email="a" * 250 + "@x"), "email", "no `email`"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_token_lets_nobody_in(stage: Stage, case: str) -> None:
    change, code, reason = BAD[case]
    change(stage.issuer)
    walker = stage.walker()
    assert refused(walker.sign_in()) == code
    assert walker.user() is None
    last = stage.reasons()[-1]
    assert last[0] == code
    assert any(part in last[1] for part in reason.split("|")), last
    assert "@" not in last[1]


GOOD: dict[str, Change] = {
    "as it is": says(),
    "aud as a list": says(aud=[CLIENT]),
    "aud of two, azp ours": says(aud=["other", CLIENT], azp=CLIENT),
    "azp ours": says(azp=CLIENT),
    "a minute late": says(exp=NOW_S - LEEWAY_S + 1),
    "a minute ahead": says(iat=NOW_S + LEEWAY_S, nbf=NOW_S + LEEWAY_S),
    "broken seconds": says(iat=NOW_S + 0.5, exp=NOW_S + 10.5),
    "says nothing of verifying": says(email_verified=...),
    "verified as text": says(email_verified="true"),
    "no name": says(name=...),
    "a name that cannot be kept": says(name="x\n"),
    "the only key, unnamed": heads(kid=...),
    "a key without use and alg": publishes(use="sig", alg="RS256"),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_good_token_lets_in(stage: Stage, case: str) -> None:
    GOOD[case](stage.issuer)
    walker = stage.walker()
    assert walker.sign_in().headers["location"] == "/app/"
    assert walker.user() is not None


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_each_algorithm_is_believed_where_it_is_announced(algorithm: str) -> None:
    key = private_key(algorithm)
    keys = [public_jwk(private_key("ES256", 8), "other"), public_jwk(key, "k")]
    claims = {
        "iss": "i", "aud": "c", "exp": NOW_S + 1, "iat": NOW_S, "nonce": "n", "sub": "1",
        "email": "a@b", "name": "ä" * (MAX_NAME_BYTES // 2),
    }  # fmt: skip
    token = jwt.encode(claims, key, algorithm, headers={"kid": "k"})
    person = person_of(token, keys, Expected("i", "c", "n", [algorithm], NOW))
    assert (person.email, len(person.name)) == ("a@b", MAX_NAME_BYTES // 2)
    others = [one for one in ("RS256", "PS256", "ES256", "EdDSA", "HS256") if one != algorithm]
    with pytest.raises(SignOnError, match="announced"):
        person_of(token, keys, Expected("i", "c", "n", others, NOW))
    longer = jwt.encode({**claims, "name": "ä" * 129}, key, algorithm, headers={"kid": "k"})
    assert person_of(longer, keys, Expected("i", "c", "n", [algorithm], NOW)).name == ""


def test_an_announced_algorithm_is_not_believed_for_that_alone() -> None:
    token = jwt.encode({"sub": "1"}, "s" * 32, "HS256")
    keys = [{"kty": "oct", "k": "cw", "alg": "HS256"}]
    with pytest.raises(SignOnError, match="believed"):
        person_of(token, keys, Expected("i", "c", "n", ["HS256", "none"], NOW))
