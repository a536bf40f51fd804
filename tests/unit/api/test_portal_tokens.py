"""Tokens of the portal: what is believed, and what is not, whoever signed it."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from outlay.api.portal_tokens import (
    LEEWAY_S,
    MAX_LIFE_S,
    MAX_TOKEN_CHARACTERS,
    PortalTokens,
    portal_secrets,
)
from outlay.config import Settings, load
from outlay.errors import AuthError, ConfigError
from tests.unit.api.portal_site import NOW_S, SECRET, claims, token, unsigned
from tests.unit.api.site import NOW


@pytest.fixture
def tokens() -> PortalTokens:
    return PortalTokens((SECRET,), lambda: NOW)


def refused(tokens: PortalTokens, shown: str) -> str:
    with pytest.raises(AuthError) as caught:
        tokens.caller(shown)
    assert shown not in str(caught.value)
    return str(caught.value)


class TestBelieved:
    def test_what_we_sign_is_read_back(self, tokens: PortalTokens) -> None:
        theme = {"scheme": "dark", "accent": "#0f62fe", "radius": 4}
        signed, expires_at, _ = tokens.sign("acme", life_s=60, theme=theme, user="ada")
        assert expires_at == NOW + 60_000_000
        read = tokens.read(signed)
        assert (read.tenant, read.expires_at, read.theme) == ("acme", expires_at, theme)
        caller = tokens.caller(signed)
        assert (caller.key_id, caller.scopes, caller.tenant) == (
            "portal:acme", ("portal",), "acme",
        )  # fmt: skip

    def test_no_two_tokens_are_alike(self, tokens: PortalTokens) -> None:
        signed = [tokens.sign("acme", life_s=60, theme={}) for _ in range(2)]
        assert signed[0][0] != signed[1][0]
        assert signed[0][2] != signed[1][2]

    def test_what_a_host_signs_is_believed_with_the_least_claims(
        self, tokens: PortalTokens
    ) -> None:
        read = tokens.read(token(claims(jti=None)))
        assert (read.tenant, read.expires_at, read.theme) == ("acme", NOW + 900_000_000, {})

    def test_times_may_be_broken_numbers_as_clocks_give_them(self, tokens: PortalTokens) -> None:
        read = tokens.read(token(claims(iat=NOW_S + 0.25, exp=NOW_S + 900.5)))
        assert read.expires_at == NOW + 900_500_000

    def test_of_several_secrets_the_first_signs_and_all_are_believed(self) -> None:
        old, new = "o" * 32, "n" * 32
        both = PortalTokens((new, old), lambda: NOW)
        assert both.caller(token(secret=old)).tenant == "acme"
        signed = both.sign("acme", life_s=60, theme={})[0]
        assert PortalTokens((new,), lambda: NOW).caller(signed).tenant == "acme"
        refused(PortalTokens((old,), lambda: NOW), signed)


class TestRefused:
    @pytest.mark.parametrize("alg", ["none", "None", "NONE", ""])
    def test_no_signature(self, tokens: PortalTokens, alg: str) -> None:
        refused(tokens, unsigned(alg=alg))

    @pytest.mark.parametrize(
        ("alg", "hashed"),
        [("HS512", "sha512"), ("HS384", "sha384"), ("RS256", "sha256"), ("ES256", "sha256")],
    )
    def test_another_algorithm_even_rightly_signed(
        self, tokens: PortalTokens, alg: str, hashed: str
    ) -> None:
        refused(tokens, token(alg=alg, hashed=hashed))

    def test_another_secret(self, tokens: PortalTokens) -> None:
        refused(tokens, token(secret="x" * 32))

    def test_claims_that_were_changed_after_signing(self, tokens: PortalTokens) -> None:
        head, _, signature = token().split(".")
        other = base64.urlsafe_b64encode(json.dumps(claims(sub="rival")).encode()).decode()
        refused(tokens, f"{head}.{other.rstrip('=')}.{signature}")

    @pytest.mark.parametrize("name", ["exp", "iat", "aud", "sub"])
    def test_a_claim_that_is_missing(self, tokens: PortalTokens, name: str) -> None:
        assert "must say" in refused(tokens, token(claims(**{name: None})))

    @pytest.mark.parametrize("aud", ["other", "", ["outlay-portal"], ["outlay-portal", "x"], 1])
    def test_another_audience(self, tokens: PortalTokens, aud: Any) -> None:
        refused(tokens, token(claims(aud=aud)))

    @pytest.mark.parametrize(
        "sub", ["", "unattributed", "a b", "a/b", "x" * 129, "ä", 7, None, ["acme"], {"x": 1}]
    )
    def test_what_is_no_tenant(self, tokens: PortalTokens, sub: Any) -> None:
        refused(tokens, token({**claims(), "sub": sub}))

    @pytest.mark.parametrize(
        "exp", ["9999999999", True, float("inf"), float("nan"), -1, 10**40, None, [NOW_S + 9]]
    )
    @pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
    def test_a_time_that_is_none(self, tokens: PortalTokens, name: str, exp: Any) -> None:
        refused(tokens, token({**claims(), name: exp}))

    @pytest.mark.parametrize(
        "shown",
        [
            "", ".", "..", "a.b.c", "ok_.x.y", "é.é.é", "a" * MAX_TOKEN_CHARACTERS + ".b.c",
            base64.urlsafe_b64encode(b"[" * 2900).decode() + ".e30.e30",
            base64.urlsafe_b64encode(b"[]").decode() + ".e30.e30",
        ],
    )  # fmt: skip
    def test_what_is_no_token_at_all(self, tokens: PortalTokens, shown: str) -> None:
        with pytest.raises(AuthError):
            tokens.caller(shown)

    def test_a_header_that_asks_for_rules_of_its_own(self, tokens: PortalTokens) -> None:
        refused(tokens, token(crit=["exp"]))
        refused(tokens, token(crit=["b64"], b64=False))


class TestTimes:
    def test_a_token_ends_within_the_leeway(self) -> None:
        def at(seconds: float) -> PortalTokens:
            return PortalTokens((SECRET,), lambda: int((NOW_S + seconds) * 1_000_000))

        shown = token(claims(exp=NOW_S + 60))
        at(60 + LEEWAY_S - 0.001).caller(shown)
        assert "expired" in refused(at(60 + LEEWAY_S), shown)
        assert LEEWAY_S <= 5

    @pytest.mark.parametrize("name", ["iat", "nbf"])
    def test_a_token_from_the_future_is_refused(self, tokens: PortalTokens, name: str) -> None:
        tokens.caller(token(claims(**{name: NOW_S + LEEWAY_S})))
        assert "ahead" in refused(tokens, token(claims(**{name: NOW_S + LEEWAY_S + 1})))

    def test_no_token_lives_longer_than_a_day_whoever_signed_it(self, tokens: PortalTokens) -> None:
        tokens.caller(token(claims(exp=NOW_S + MAX_LIFE_S)))
        told = refused(tokens, token(claims(exp=NOW_S + MAX_LIFE_S + 1)))
        assert str(MAX_LIFE_S) in told
        assert MAX_LIFE_S == 86_400
        # Nor is its life made to look short by a beginning that is later than its end.
        refused(tokens, token(claims(iat=NOW_S + 3, exp=NOW_S + 2)))


class TestThemes:
    def test_of_a_foreign_theme_only_what_is_valid_is_kept(self, tokens: PortalTokens) -> None:
        theme = {
            "scheme": "dark", "accent": "red;background:url(//evil)", "font": "x" * 101,
            "radius": 4, "name": "Acme", "script": "<script>",
        }  # fmt: skip
        read = tokens.read(token(claims(theme=theme)))
        assert read.theme == {"scheme": "dark", "radius": 4, "name": "Acme"}

    @pytest.mark.parametrize("theme", ["dark", 7, ["dark"], [["scheme", "dark"]]])
    def test_what_is_no_theme_is_none(self, tokens: PortalTokens, theme: Any) -> None:
        assert tokens.read(token(claims(theme=theme))).theme == {}


class TestSecrets:
    def test_without_a_setting_one_is_kept_for_the_owner_only(self, tmp_path: Path) -> None:
        made = portal_secrets(Settings(), tmp_path)
        file = tmp_path / "portal-secret"
        assert portal_secrets(Settings(), tmp_path) == made
        assert file.stat().st_mode & 0o777 == 0o600
        assert len(made[0]) >= 32
        assert [path.name for path in tmp_path.iterdir()] == ["portal-secret"]
        file.chmod(0o644)
        assert portal_secrets(Settings(), tmp_path) == made
        assert file.stat().st_mode & 0o777 == 0o600

    def test_a_setting_leaves_no_file(self, tmp_path: Path) -> None:
        settings = load(env={"OUTLAY_PORTAL_SECRET": f"{'a' * 32}, {'b' * 32}"})
        assert portal_secrets(settings, tmp_path) == ("a" * 32, "b" * 32)
        assert list(tmp_path.iterdir()) == []
        assert "aaaa" not in repr(settings)

    def test_a_short_setting_is_refused_and_not_shown(self) -> None:
        with pytest.raises(ConfigError) as caught:
            load(env={"OUTLAY_PORTAL_SECRET": f"{'a' * 32},hunter2"})
        assert "hunter2" not in str(caught.value)

    def test_a_damaged_file_says_what_to_do(self, tmp_path: Path) -> None:
        (tmp_path / "portal-secret").write_text("short\n")
        with pytest.raises(ConfigError, match="fewer than 32") as caught:
            portal_secrets(Settings(), tmp_path)
        assert caught.value.where == str(tmp_path / "portal-secret")
        (tmp_path / "portal-secret").unlink()
        (tmp_path / "portal-secret").mkdir()
        with pytest.raises(ConfigError, match="cannot be kept"):
            portal_secrets(Settings(), tmp_path)


def test_what_the_documentation_signs_is_believed() -> None:
    page = Path(__file__).parents[3] / "docs" / "portal.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL)
    believing = PortalTokens((SECRET,), lambda: time.time_ns() // 1000)
    signed = []
    for block in blocks:
        names: dict[str, Any] = {"PORTAL_SECRET": SECRET}
        exec(block, names)
        sign = names.get("portal_url") or names["portal_token"]
        signed.append(sign("acme").rpartition("#token=")[2])
    assert [believing.read(shown).tenant for shown in signed] == ["acme", "acme"]
