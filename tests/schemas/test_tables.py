"""What other work relies on: columns that `calls` and the rollups have at least."""

import re

import pytest

from llmtower_schemas.events import TOKEN_BUCKETS
from llmtower_schemas.judged import judged_feedback
from llmtower_schemas.migrations import migrations

CALLS = """
call_id project app environment release user_id session_id request_id route trace_id span_id parent_id operation provider request_model
response_model response_id started_at duration_us ttft_us stream status error_class retries finish_reasons service_tier usage_source
tool_fees prompt_name prompt_version tags instrumentation cost_nano_usd cost_status cost_source price_version
rate_limit_remaining_requests rate_limit_remaining_tokens kafka_topic kafka_partition kafka_offset event_index producer producer_seq
"""
ROLLUP = """
project app environment provider request_model operation error_class prompt_name prompt_version
duration_digest ttft_digest token_time_digest duration_buckets ttft_buckets token_time_buckets calls errors cost_nano_usd
"""


def columns(table: str) -> dict[str, str]:
    """Give the type of each column that the first migrations make."""
    text = "\n".join(found.sql for found in migrations())
    (body,) = re.findall(rf"CREATE TABLE IF NOT EXISTS {table}\n\((.*?)\n\)\nENGINE", text, re.DOTALL)
    return dict(re.findall(r"^    ([a-z_0-9]+) ([A-Z]\w+\(?[^,\n]*)", body, re.MULTILINE))


@pytest.mark.parametrize(("table", "names"), [("calls", CALLS), ("rollup_1m", ROLLUP), ("rollup_1h", ROLLUP)])
def test_columns_that_others_rely_on(table: str, names: str) -> None:
    wanted = {*names.split(), *(TOKEN_BUCKETS if table == "calls" else ())}
    assert wanted - columns(table).keys() == set()


def test_money_that_is_unknown_can_be_null() -> None:
    money = {name: kind for name, kind in columns("calls").items() if name.startswith("cost_") and name.endswith("nano_usd")}
    assert len(money) == 5
    assert all(kind.startswith("Nullable(Int64)") for kind in money.values())


def test_the_view_of_judge_and_people_is_the_text_that_its_panel_and_command_ask_with_a_range() -> None:
    made = [found.sql for found in migrations() if re.search(r"VIEW (?:IF NOT EXISTS )?judged_feedback AS", found.sql)]
    assert made[-1].partition("VIEW judged_feedback AS\n")[2] == f"{judged_feedback()};\n"
