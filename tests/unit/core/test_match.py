"""Model names: match clauses, and the rewrites that are tried before a name is given up."""

from __future__ import annotations

import pytest

from outlay.core.match import (
    MAX_CLAUSE_DEPTH,
    canonical_clause,
    canonical_provider,
    compile_clause,
    is_cloud_id,
    name_forms,
)


@pytest.mark.parametrize(
    ("clause", "yes", "no"),
    [
        ('{"equals":"GPT-5"}', "gpt-5", "gpt-5-mini"),
        ('{"starts_with":"gpt-5"}', "gpt-5-mini", "my-gpt-5"),
        ('{"ends_with":"-mini"}', "gpt-5-mini", "gpt-5-mini-2"),
        ('{"contains":"sonnet"}', "claude-sonnet-5", "claude-opus-5"),
        ('{"regex":"^o[134]$"}', "o3", "o3-mini"),
        ('{"or":[{"equals":"a"},{"equals":"b"}]}', "b", "c"),
        ('{"and":[{"starts_with":"a"},{"ends_with":"z"}]}', "a-z", "a-y"),
    ],
)
def test_each_kind_of_clause(clause: str, yes: str, no: str) -> None:
    matches = compile_clause(clause)
    assert matches(yes)
    assert not matches(no)


@pytest.mark.parametrize(
    ("clause", "message"),
    [
        ("{", "not JSON"),
        ("[]", "exactly one key"),
        ("{}", "exactly one key"),
        ('{"equals":"a","contains":"b"}', "exactly one key"),
        ('{"like":"a"}', "unknown match clause 'like'; known are equals"),
        ('{"equals":""}', "takes text"),
        ('{"equals":1}', "takes text"),
        ('{"or":[]}', "takes a list"),
        ('{"regex":"("}', "regex is not valid"),
    ],
)
def test_a_bad_clause_says_what_is_wrong(clause: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compile_clause(clause)


def test_nesting_is_bounded() -> None:
    depth = MAX_CLAUSE_DEPTH + 1
    text = '{"or":[' * depth + '{"equals":"a"}' + "]}" * depth
    with pytest.raises(ValueError, match="nested deeper"):
        compile_clause(text)


def test_a_clause_has_one_canonical_text() -> None:
    assert canonical_clause({"or": [{"equals": "a"}]}) == '{"or":[{"equals":"a"}]}'


@pytest.mark.parametrize(
    ("provider", "name", "expected"),
    [
        ("google", "publishers/google/models/gemini-4", ("strip_path", "gemini-4")),
        ("google", "models/gemini-4", ("strip_path", "gemini-4")),
        ("google", "projects/p/locations/l/publishers/x/models/m", ("strip_path", "m")),
        ("fireworks", "accounts/fireworks/models/kimi", ("strip_path", "kimi")),
        ("fireworks", "fireworks/models/kimi", ("strip_path", "kimi")),
        ("openai", "openai/gpt-5", ("strip_path", "gpt-5")),
        ("openai", "gpt-5-2025-12-11", ("strip_date", "gpt-5")),
        ("openai", "gpt-5-20251211", ("dash_date", "gpt-5-2025-12-11")),
        ("openai", "gpt-5-20251211", ("strip_date", "gpt-5")),
        ("google", "claude-sonnet-4@20250929", ("strip_date", "claude-sonnet-4")),
        ("aws", "openai.gpt-oss-20b", ("bedrock_version", "openai.gpt-oss-20b-1:0")),
        ("aws", "eu.anthropic.claude-x", ("strip_region_prefix", "anthropic.claude-x")),
        (
            "aws",
            "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-x",
            ("strip_path+strip_region_prefix", "anthropic.claude-x"),
        ),
    ],
)
def test_forms_of_a_name_and_what_was_done_to_it(
    provider: str, name: str, expected: tuple[str, str]
) -> None:
    forms = list(name_forms(provider, name))
    assert forms[0] == ("", name)
    assert expected in forms
    assert len({form for _, form in forms}) == len(forms)


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("openrouter", "openai/gpt-5"),
        ("aws", "openai.gpt-5.5"),
        ("together", "acme/llama"),
        ("fireworks", "accounts/acme/models/mine"),
        ("aws", "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"),
        ("openai", "ft:gpt-4.1-2025-04-14:acme::abc"),
        ("openai", "davinci:ft-acme-2023-01-01"),
        ("google", "tunedmodels/gemini-1.5-flash-acme"),
        ("aws", "arn:aws:bedrock:us-east-1:1:custom-model/anthropic.claude-x/abc"),
        ("aws", "arn:aws:bedrock:us-east-1:1:provisioned-model/abc"),
        ("openai", "gpt-5"),
    ],
)
def test_names_that_have_no_other_form(provider: str, name: str) -> None:
    assert list(name_forms(provider, name)) == [("", name)]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.x", True),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", True),
        ("us-gov.anthropic.claude-x", True),
        ("claude-haiku-4.5", False),
        ("gpt-5.6-sol", False),
    ],
)
def test_ids_of_bedrock_are_told_from_plain_names(name: str, is_one: bool) -> None:
    assert is_cloud_id(name) is is_one


def test_providers_have_one_name() -> None:
    assert canonical_provider(" Vertex ") == "google"
    assert canonical_provider("x-ai") == "xai"
    assert canonical_provider("acme") == "acme"
