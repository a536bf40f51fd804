"""Settings: names, precedence, types, bounds, and errors that say what to do."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from outlay.config import KEYS, MIB, Settings, load
from outlay.errors import ConfigError


def test_without_anything_every_setting_has_its_default() -> None:
    assert load(env={}) == Settings()


def test_every_setting_is_described_in_one_sentence() -> None:
    assert list(KEYS) == [f.name for f in dataclasses.fields(Settings)]
    for setting in KEYS.values():
        assert setting.meaning.endswith("."), setting.name
        assert len(setting.meaning) <= 100, setting.name
        assert setting.group in {"guest", "server"}
        assert setting.env == "OUTLAY_" + setting.name.upper()


def test_every_default_passes_its_own_bounds() -> None:
    overrides = {s.name: s.default for s in KEYS.values()}
    assert load(env={}, overrides=overrides) == Settings()


def test_overrides_win_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = tmp_path / "outlay.toml"
    file.write_text('port = 1\nhost = "file"\ndata = "file"\n')
    env = {"OUTLAY_PORT": "2", "OUTLAY_HOST": "env"}
    got = load(env, file, {"port": 3, "data": None})
    assert (got.port, got.host, got.data, got.service) == (3, "env", "file", "")


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "outlay.toml"
    file.write_text("port = 9\n")
    assert load({"OUTLAY_CONFIG": str(file)}).port == 9
    assert load({"OUTLAY_CONFIG": ""}).port == 8787


def test_other_programs_variables_are_not_ours() -> None:
    assert load({"OUTLAYS": "1", "PORT": "2", "outlay_port": "x"}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("OUTLAY_ENABLED", "off", False),
        ("OUTLAY_ENABLED", " TRUE ", True),
        ("OUTLAY_PORT", "0", 0),
        ("OUTLAY_MAX_BATCH_BYTES", "2MiB", 2 * MIB),
        ("OUTLAY_MAX_BATCH_BYTES", "4096", 4096),
        ("OUTLAY_MAX_BATCH_EVENTS", "20_000", 20_000),
        ("OUTLAY_SHIP_INTERVAL_S", "1.5", 1.5),
        ("OUTLAY_LOG_LEVEL", "debug", "debug"),
        ("OUTLAY_HOSTS", "a:1/x=openai, b=anthropic", {"a:1/x": "openai", "b": "anthropic"}),
        ("OUTLAY_HOSTS", "", {}),
    ],
)
def test_environment_text_becomes_the_type_of_the_setting(
    name: str, text: str, value: object
) -> None:
    assert getattr(load({name: text}), name.removeprefix("OUTLAY_").lower()) == value


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("OUTLAY_PROT", "1", "Did you mean `port`?"),
        ("OUTLAY_ZZZZZZ", "1", "no setting `zzzzzz`"),
        ("OUTLAY_PORT", "web", "whole number"),
        ("OUTLAY_PORT", "65536", "from 0 to 65535"),
        ("OUTLAY_PORT", "-1", "from 0 to 65535"),
        ("OUTLAY_PORT", "٣", "whole number"),
        ("OUTLAY_PORT", "1MiB", "whole number"),
        ("OUTLAY_ENABLED", "maybe", "true or false"),
        ("OUTLAY_SHIP_INTERVAL_S", "nan", "finite"),
        ("OUTLAY_SHIP_INTERVAL_S", "x", "a number"),
        ("OUTLAY_LOG_LEVEL", "loud", "one of debug, info"),
        ("OUTLAY_HOSTS", "a", "a map"),
        ("OUTLAY_HOSTS", "=openai", "a map"),
        ("OUTLAY_DUCKDB_MEMORY_MB", "1", "at least 64"),
    ],
)
def test_a_bad_variable_is_an_error_that_names_it(name: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({name: text})
    assert says in caught.value.message
    assert caught.value.where == name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prot = 1", "Did you mean `port`?"),
        ('port = "web"', "whole number"),
        ("port = true", "whole number"),
        ("enabled = 1", "true or false"),
        ("service = 1", "text"),
        ("ship_interval_s = true", "a number"),
        ("hosts = 1", "a map"),
        ("[hosts]\na = 1", "a map"),
        ("= 1", "not valid TOML"),
    ],
)
def test_a_bad_file_is_an_error_that_names_it(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "outlay.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load({}, file)
    assert says in caught.value.message
    assert str(file) in (caught.value.where or "")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load({}, tmp_path / "none.toml")


def test_a_file_may_hold_a_table_of_hosts(tmp_path: Path) -> None:
    file = tmp_path / "outlay.toml"
    file.write_text('ship_interval_s = 1\n[hosts]\n"10.0.0.1:80" = "openai"\n')
    got = load({}, file)
    assert got.hosts == {"10.0.0.1:80": "openai"}
    assert got.ship_interval_s == 1.0


def test_an_unknown_override_is_an_error() -> None:
    with pytest.raises(ConfigError, match="Did you mean `tenant`"):
        load({}, overrides={"tennant": "x"})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        load({"OUTLAY_HOSTS": "a=b"}).hosts["c"] = "d"  # type: ignore[index]


def test_secrets_are_never_shown() -> None:
    got = load({"OUTLAY_KEY": "ok_secret", "OUTLAY_BOOKS_URL": "postgresql://u:secret@h/d"})
    assert "secret" not in repr(got)
    with pytest.raises(ConfigError) as caught:
        load({}, overrides={"key": ["ok_secret"]})
    assert "ok_secret" not in caught.value.message


def test_the_process_environment_is_read_when_none_is_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in list(os.environ):
        if variable.startswith("OUTLAY_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("OUTLAY_SERVICE", "shop")
    assert load().service == "shop"


def test_of_several_context_secrets_each_has_a_least_length_and_none_is_shown() -> None:
    one, two = "a" * 16, "b" * 20
    assert load({}).context_secrets == ()
    got = load({"OUTLAY_CONTEXT_SECRET": f" {one} , {two},"})
    assert got.context_secrets == (one, two)
    assert one not in repr(got)
    with pytest.raises(ConfigError, match="at least 16 characters") as caught:
        load({"OUTLAY_CONTEXT_SECRET": f"{one},short-secret"})
    assert "short-secret" not in str(caught.value.as_dict())
