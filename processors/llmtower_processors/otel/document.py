"""The page about OpenTelemetry, its tables made of the dialects: `python -m llmtower_processors.otel.document docs/opentelemetry.md`."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from llmtower_processors.otel import dialects
from llmtower_processors.otel.dialects import Field

_HEAD = """# OpenTelemetry: the gateway

Applications that are instrumented already need an address, and nothing else:

```sh
llmtower up                                            # or `llmtower gateway` beside your own Kafka
export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf       # http/json works as well
export OTEL_METRICS_EXPORTER=none                      # traces and logs are taken, metrics are not
```

Beyond loopback every request needs a key: `llmtower keys create --scope emit --project shop`, then
`OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer <key>"`. A revoked key is refused within seconds.

| path | takes | scope |
|---|---|---|
| `/v1/traces` | OTLP traces, protobuf or JSON | `emit` |
| `/v1/logs` | OTLP logs: `gen_ai.evaluation.result` becomes a score, messages become the texts of their call | `emit` |
| `/v1/events` | our own events, one JSON object a line (`llmtower schema export` describes them) | `emit` |
| `/v1/feedback` | one feedback as JSON: `target_id`, `score`, `label`, `comment`, `user_id` … | `feedback` |

Bodies may be gzip, zstd or deflate, up to 20 MiB after decompression. **200 is answered only after Kafka has acknowledged**; 429 and 503
carry `Retry-After`, and sending again is always right: an event is recognised by its identity (project, trace id, span id, or its own id)
and stored once, in whatever batches it comes. What was rejected of a batch is said in `partialSuccess`, the rest is stored.

The OpenTelemetry Collector's kafka exporter needs no gateway: with `LLMTOWER_COLLECTOR__TOPICS=otlp_spans,otlp_logs` the worker follows its
topics (`otlp_proto` or `otlp_json`; `LLMTOWER_COLLECTOR__PROJECT` names their project) and stores what they hold once, too.

## What becomes of a span

A span with an operation of an LLM call becomes a call, other GenAI spans become steps around calls, everything else is counted
(`llmtower_gateway_records_total{outcome="left_out"}`) and left out. Where two instrumentations of one process saw the same call, it counts
once: the outermost span of one export is the call; of spans in exports of their own the first is, and what comes later around it becomes a
step. Two gateways, or one that was started anew in between, do not know of each other's exports, and one remembers two minutes and at most
100,000 spans: beyond that such a call counts twice. Secrets are redacted and long texts cut as in the SDK (`LLMTOWER_CAPTURE`,
`LLMTOWER_SDK__CONTENT_BYTES`).

Some instrumentations send texts apart from the span, as log events; `opentelemetry-instrumentation-openai-v2` does, once
`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true` asks for them. They come to `/v1/logs` before or after the span, are tied to its
call by trace and span id, and stand in `late_contents`, shown with the call where it carries no texts itself; datasets take them there,
too. Of a call that counts once under another span, they are shown with the call that stands. They are scored (toxicity, quality) when
they come, what came of a call together as one, without `truncated` and what else finish reasons decide: the span says that. Scoring does
not wait to learn which of two spans stands. So where two instrumentations see one call and both send its texts, at least one of them as log
events, **the same answer is scored twice**, once under the id of the span that was left out: let one of them capture texts. Drift looks
only at texts that come with the call. Log events so taken:

{messages}
"""


def page() -> str:
    """Give the page."""
    return "\n".join((_HEAD.replace("{messages}", f"{_names((*dialects.MESSAGES, dialects.DETAILS))}."), *_kinds(), "", *_fields(), ""))


def _kinds() -> Iterator[str]:
    names = ", ".join(f"`{name}`" for name in dialects.KINDS.attributes)
    yield f"The kind is said by {names}, in lower case:\n"
    yield "| value | becomes |"
    yield "|---|---|"
    for name, operation in dialects.OPERATIONS.items():
        yield f"| `{name}` | call, operation `{operation}` |"
    for name, kind in dialects.STEPS.items():
        yield f"| `{name}` | step of kind `{kind}` |"


def _fields() -> Iterator[str]:
    yield "## Which attribute says what\n"
    yield "The first that is there decides. Names of every generation of the conventions, of OpenInference, OpenLLMetry and OpenLIT.\n"
    yield "| field | attributes, best first | |"
    yield "|---|---|---|"
    yield from map(_row, (*dialects.RESOURCE, *dialects.TEXTS))
    yield from map(_row, (dialects.STREAM, dialects.TTFT_SECONDS, dialects.FINISH, dialects.ERROR_TYPE, dialects.HTTP_STATUS))
    yield from map(_row, (dialects.INPUTS, dialects.OUTPUTS, dialects.STEP_NAMES, dialects.LEFT_OUT))
    yield f"| parameters | {_names((dialects.PARAMETERS + '*', *dialects.INVOCATION))} | |"
    yield f"| tags | {_names((*dialects.TAGS, dialects.ASSOCIATION + '*', 'tag.tags'))} | |"
    yield "\n### Tokens\n"
    yield "By the conventions counts include their parts (input what was cached, output reasoning); stored are exclusive buckets. Where"
    yield "the parts are more than the whole, the source counts as Anthropic does, and the whole is taken as it is (`otel-exclusive`).\n"
    yield "| count | attributes, best first |"
    yield "|---|---|"
    for field in dialects.TOKENS:
        yield f"| {field.name.replace('_', ' ')} | {_names(field.attributes)} |"


def _row(field: Field) -> str:
    return f"| `{field.name}` | {_names(field.attributes)} | {field.note} |"


def _names(attributes: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in attributes)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")
