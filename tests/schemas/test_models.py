"""What a model's id says by its form."""

import pytest

from llmtower_schemas.models import Kind, Model, base_of, recognise


@pytest.mark.parametrize(
    ("provider", "model", "kind", "base"),
    [
        ("openai", "gpt-4o-mini", "base", ""),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme:support:9xAbC", "fine-tune", "gpt-4o-mini-2024-07-18"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::9xAbC:ckpt-step-80", "fine-tune", "gpt-4o-mini-2024-07-18"),
        ("openai", "davinci:ft-acme:support-2022", "fine-tune", "davinci"),
        ("azure.ai.openai", "gpt-4o-mini-2024-07-18.ft-0123456789abcdef", "fine-tune", "gpt-4o-mini-2024-07-18"),
        ("mistral", "ft:open-mistral-7b:acme:20260101:abc", "fine-tune", "open-mistral-7b"),
        (
            "aws.bedrock",
            "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-lite-v1:0/abc",
            "fine-tune",
            "amazon.nova-lite-v1:0",
        ),
        ("aws.bedrock", "arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/abc", "custom", ""),
        ("aws.bedrock", "arn:aws-cn:bedrock:cn-north-1:123456789012:provisioned-model/abc", "custom", ""),
        ("aws.bedrock", "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc", "custom", ""),
        ("aws.bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0", "base", ""),
        ("aws.bedrock", "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3", "base", ""),
        ("gcp.vertex_ai", "projects/p/locations/us-central1/endpoints/123", "endpoint", ""),
        ("gcp.vertex_ai", "projects/p/locations/us-central1/models/123@1", "custom", ""),
        ("gcp.gemini", "tunedModels/support-x1", "fine-tune", ""),
        ("ollama", "llama3.1:8b", "tag", "llama3.1"),
        ("ollama", "llama3.1", "tag", "llama3.1"),
        ("ollama", "ada/support:v2", "custom", ""),
        ("", "", "base", ""),
    ],
)
def test_fine_tunes_and_custom_ids_are_recognised(provider: str, model: str, kind: Kind, base: str) -> None:
    found = recognise(provider, model)
    assert (found.kind, found.base) == (kind, base)


def test_what_was_registered_goes_before_what_an_id_says() -> None:
    known = {"ft:a:b:c:d": Model(model="ft:a:b:c:d", base="real"), "x": Model(model="x")}
    assert [base_of(model, "", known) for model in ("ft:a:b:c:d", "ft:e:b:c:d", "x")] == ["real", "e", ""]
