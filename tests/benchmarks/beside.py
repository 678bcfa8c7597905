"""What a benchmark of panels has beside its calls: scores, judged ones, feedback, experiments, drift, alerts and the pipeline's books."""

from typing import Final

from tests.benchmarks.bench_dashboard import CALLS, START_US

_AT: Final = f"fromUnixTimestamp64Micro({START_US} + toInt64(number * {{spacing_us:Float64}}), 'UTC')"
_SEGMENT: Final = "'default', concat('app-', toString(number % 8)), 'production'"
_MANY: Final = "FROM numbers({count:UInt64})"
_OF_DAY: Final = f"FROM llmtower.calls WHERE started_at >= fromUnixTimestamp64Micro({START_US}) AND environment = 'production'"
_OF_CALL: Final = "project, app, environment, request_model, prompt_name, prompt_version, started_at"
FIRST: Final = f"SELECT argMin(call_id, started_at) {_OF_DAY}"
"""The call whose own panels are asked."""
_JUDGED: Final = f"{_OF_DAY} AND cityHash64(call_id, 3) % {{every:UInt64}} = 0"
_WORDS: Final = """SELECT generateUUIDv4(), project, app, environment, started_at + 300,
    multiIf(cityHash64(call_id, 8) % 3 = 0 AND response_id != '', 'response_id', cityHash64(call_id, 8) % 6 = 1, 'trace_id',
        'call_id') AS kind,
    multiIf(kind = 'response_id', response_id, kind = 'trace_id', trace_id, toString(call_id)), 'thumbs', cityHash64(call_id, 9) % 3 - 1.,
    user_id"""
"""People name the answer, the trace or the call."""
_SCORED: Final = "['pii', 'input_pii', 'injection', 'refusal', 'empty', 'truncated', 'looping', 'relevance', 'toxicity', 'length']"
_TEN: Final = "arrayWithConstant(10, {})"
BESIDE: Final[dict[str, tuple[int, str]]] = {
    "scores": (
        1_000_000,
        (
            f"INSERT INTO llmtower.scores ({_OF_CALL}, target_kind, target_id, name, value, status, weight) SELECT {_OF_CALL}, 'call_id',"
            " toString(call_id), ['toxicity', 'groundedness', 'pii', 'relevance'][cityHash64(call_id, 1) % 4 + 1], rand() / 4294967295,"
            f" 'ok', 1 + cityHash64(call_id, 2) % 3 {_OF_DAY} AND cityHash64(call_id, 10) % {{every:UInt64}} = 0"
        ),
    ),
    "call_scores": (
        CALLS,
        (
            f"INSERT INTO llmtower.call_scores (call_id, {_OF_CALL}, processor, names, score_values, labels, scorers, scorer_versions,"
            f" statuses, reasons, weights, positions) SELECT call_id, {_OF_CALL}, 'quality', {_SCORED},"
            f" arrayMap(n -> if(rand(n) % 100 = 0, 0.9, 0.1), range(10)), {_TEN.format(chr(39) * 2)},"
            f" {_TEN.format(repr('patterns'))}, {_TEN.format(repr('1'))}, {_TEN.format(repr('ok'))}, {_TEN.format(chr(39) * 2)},"
            f" {_TEN.format('1.')}, {_TEN.format('emptyArrayUInt32()')} {_OF_DAY}"
        ),
    ),
    "judged": (
        20_000,
        (
            f"INSERT INTO llmtower.scores (score_id, {_OF_CALL}, at, target_kind, target_id, name, value, label, scorer, scorer_version,"
            f" status, weight) SELECT generateUUIDv4(), {_OF_CALL}, started_at + 60, 'call_id', toString(call_id),"
            " 'judge_helpfulness', cityHash64(call_id, 1) % 100 / 100,"
            " if(cityHash64(call_id, 1) % 100 < 20, 'bad', 'good'), 'llmtower-judge', '1/m', 'ok', 1 + cityHash64(call_id, 2) % 9"
            f" {_JUDGED}"
        ),
    ),
    "feedback": (
        100_000,
        (
            "INSERT INTO llmtower.feedback (feedback_id, project, app, environment, at, target_kind, target_id, name, score, user_id)"
            f" {_WORDS} {_OF_DAY} AND (cityHash64(call_id, 4) % {{every:UInt64}} = 0 OR call_id = ({FIRST}))"
        ),
    ),
    "feedback on judged calls": (
        20_000,
        (
            "INSERT INTO llmtower.feedback (feedback_id, project, app, environment, at, target_kind, target_id, name, score, user_id)"
            f" {_WORDS} {_JUDGED} AND cityHash64(call_id, 5) % 4 = 0"
        ),
    ),
    "judge_rounds": (
        1_440,
        (
            "INSERT INTO llmtower.judge_rounds (at, model, state, budget_nano_usd, spent_nano_usd, population, scored)"
            f" SELECT {_AT}, 'm', 'judged', 2000000000, number * 1000000, 7000, 14 {_MANY}"
        ),
    ),
    "experiments": (
        4_000,
        (
            "INSERT INTO llmtower.calls (call_id, project, app, environment, operation, provider, request_model, started_at, duration_us,"
            " status, input_tokens, output_tokens, cost_nano_usd, cost_status, prompt_name, prompt_version, response_id, tags)"
            " SELECT generateUUIDv7(number), 'default', 'app-1', 'experiment', 'chat', 'openai', concat('model-', toString(1 + number % 2))"
            f", {_AT}, 900000 + number % 1000 * 1000, if(number % 50 = 0, 'error', 'ok'), 1000, 200, 270000, 'ok', 'prompt-0',"
            " toString(3 + number % 2), concat('tried-', toString(number)), map('experiment', concat('run-', toString(intDiv(number, 400)))"
            f", 'dataset', 'cases', 'case', toString(number % 200)) {_MANY}"
        ),
    ),
    "calls of a new model": (
        5_000,
        (
            "INSERT INTO llmtower.calls (call_id, project, app, environment, operation, provider, request_model, response_model,"
            " started_at, duration_us, status, input_tokens, cache_read_tokens, output_tokens, cost_nano_usd, cost_input_nano_usd,"
            " cost_cache_nano_usd, cost_output_nano_usd, cost_status, prompt_name, prompt_version)"
            " SELECT generateUUIDv7(number), 'default', 'app-2', 'production', 'chat', 'openai',"
            f" concat('model-', toString(2 + number % 2 * 97)), 'model-2-newest', {_AT}, 900000, 'ok', 1000, 800, 200,"
            " if(number % 10 = 0, NULL, 270000), 150000, 20000, 100000,"
            f" if(number % 10 = 0, 'unknown_model', 'ok'), 'prompt-0', '9' {_MANY}"
        ),
    ),
    "scores of experiments": (
        8_000,
        (
            f"INSERT INTO llmtower.scores (score_id, {_OF_CALL}, at, target_kind, target_id, name, value, status, weight)"
            f" SELECT generateUUIDv4(), {_OF_CALL}, started_at, 'call_id', toString(call_id), arrayJoin(['contains', 'valid_json']) AS name"
            ", cityHash64(call_id, name) % 2, 'ok', 1 FROM llmtower.calls WHERE environment = 'experiment'"
        ),
    ),
    "deploys": (
        24,
        (
            "INSERT INTO llmtower.deploys (project, app, environment, at, version, note)"
            f" SELECT {_SEGMENT}, {_AT}, toString(number), 'a note' {_MANY}"
        ),
    ),
    "registry_events": (
        240,
        (
            "INSERT INTO llmtower.registry_events (at, kind, action, name, label, number, version, replaced, by) SELECT"
            f" {_AT}, if(number % 2 = 0, 'label', 'model'), if(number % 2 = 0, 'promote', 'register'),"
            " concat(if(number % 2 = 0, 'prompt-', 'model-'), toString(number % 3)), 'production', number, toString(number), '', 'somebody'"
            f" {_MANY}"
        ),
    ),
    "alert_events": (
        2_000,
        (
            "INSERT INTO llmtower.alert_events (at, rule, group_text, group_values, transition_id, sequence, title, severity, from_state,"
            " to_state, value, threshold, panel, notify, kafka_offset) SELECT"
            f" {_AT}, concat('rule-', toString(number % 10)), concat('app=app-', toString(number % 8)),"
            " map('app', concat('app-', toString(number % 8))), toString(number), intDiv(number, 80), 'Errors', 'page',"
            " if(intDiv(number, 80) % 2 = 0, 'ok', 'firing'), if(intDiv(number, 80) % 2 = 0, 'firing', 'resolved'), 0.2, 0.1, '', true,"
            f" number {_MANY}"
        ),
    ),
    "alert_sends": (
        2_000,
        (
            "INSERT INTO llmtower.alert_sends (at, transition_id, route, outcome, kafka_offset)"
            f" SELECT {_AT}, toString(number), 'hook', 'sent', number {_MANY}"
        ),
    ),
    "silence_events": (
        20,
        (
            "INSERT INTO llmtower.silence_events (silence_id, kind, rule, starts_at, ends_at, by, comment, recorded_at, kafka_offset)"
            f" SELECT toString(number), 'silence', 'rule-1', {_AT}, {_AT} + 86400, 'somebody', 'known', {_AT}, number {_MANY}"
        ),
    ),
    "drift_explanations": (
        240,
        (
            "INSERT INTO llmtower.drift_explanations (at, project, app, environment, request_model, direction, metric, window_minutes,"
            " reference, moved, texts_before, texts_now, characters_before, characters_now) SELECT"
            f" toDateTime({_AT}), {_SEGMENT}, 'model-0', 'output', 'embedding', 60, 'trailing', 0.3, 400, 400, 300, 500 {_MANY}"
        ),
    ),
    "dead_letters": (
        1_000,
        (
            "INSERT INTO llmtower.dead_letters (processor, project, app, reason, bytes, at, producer, topic, offset) SELECT 'calls',"
            f" 'default', 'app-0', ['not_json', 'too_big'][1 + number % 2], 900, {_AT}, 'p0', 'llmtower.calls', number {_MANY}"
        ),
    ),
    "audits": (
        48,
        (
            "INSERT INTO llmtower.audits (at, check, hour, processor, found, repaired) SELECT"
            f" {_AT}, ['missing_events', 'doubled_rows'][1 + number % 2], toStartOfHour(toDateTime({_AT})), 'calls', 0, 0 {_MANY}"
        ),
    ),
    "steps": (
        100_000,
        (
            "INSERT INTO llmtower.steps (step_id, project, app, environment, trace_id, name, kind, started_at, duration_us, status)"
            " SELECT call_id, project, app, environment, trace_id, 'search', 'retrieval', started_at, 90000, 'ok'"
            f" {_OF_DAY} AND (cityHash64(call_id, 6) % {{every:UInt64}} = 0 OR call_id = ({FIRST}))"
        ),
    ),
    "contents": (
        20_000,
        (
            "INSERT INTO llmtower.contents (call_id, kind, project, app, started_at, input, output) SELECT call_id, 'call', project, app,"
            " started_at, repeat('a question of many words ', 40), repeat('an answer of many words ', 40)"
            f" {_OF_DAY} AND (cityHash64(call_id, 7) % {{every:UInt64}} = 0 OR call_id = ({FIRST}))"
        ),
    ),
    "drift": (
        1_440 * 40,
        (
            "INSERT INTO llmtower.drift (project, app, environment, request_model, direction, metric,"
            " reference, window_minutes, at, status,"
            f" statistic, threshold, texts) SELECT {_SEGMENT}, concat('model-', toString(intDiv(number, 8) % 5)), 'output', 'embedding',"
            f" 'trailing', 60, toDateTime({_AT}), if(number % 500 = 0, 'drift', 'ok'), rand(number) / 1e9, 5, 400 {_MANY}"
        ),
    ),
    "drift_ranges": (
        1_440 * 16,
        (
            "INSERT INTO llmtower.drift_ranges (project, app, environment, request_model, direction, language,"
            " embedder, minute, calls, texts,"
            f" characters, tokens, features, mean) SELECT {_SEGMENT}, 'model-0', if(intDiv(number, 8) % 2 = 0, 'input', 'output'), 'en',"
            f" 'hashed@1:384', toStartOfMinute(toDateTime({_AT})), 400, 390, 40000, 90000, range(256), range(384) {_MANY}"
        ),
    ),
    "heartbeats": (
        17_280 * 20,
        (
            "INSERT INTO llmtower.heartbeats (producer, project, app, environment, at, emitted, delivered)"
            f" SELECT concat('p', toString(number % 20)), {_SEGMENT}, {_AT}, number, number {_MANY}"
        ),
    ),
    "watermarks": (
        17_280,
        (
            "INSERT INTO llmtower.watermarks (at, project, watermark, live_producers)"
            f" SELECT {_AT} AS moment, 'default', moment - toIntervalSecond(1), 20 {_MANY}"
        ),
    ),
    "own_cost": (
        8_640,
        (
            "INSERT INTO llmtower.own_cost (at, process, instance, seconds, cpu_s, memory_bytes)"
            f" SELECT {_AT}, ['pipeline', 'scoring', 'clickhouse'][1 + number % 3], 'a:1', 30, 3, 100000000 {_MANY}"
        ),
    ),
    "ledger": (
        200_000,
        (
            "INSERT INTO llmtower.ledger (processor, producer, first_seq, count, project, app, minute, offset)"
            f" SELECT ['calls', 'signals'][number % 2 + 1], concat('p', toString(number % 20)), number, 100, 'default', 'app-0',"
            f" toStartOfMinute(toDateTime({_AT})), number {_MANY}"
        ),
    ),
    "requests": (
        1_000_000,
        (
            "INSERT INTO llmtower.requests (call_id, project, app, environment, started_at)"
            f" SELECT generateUUIDv7(number), {_SEGMENT}, {_AT} {_MANY}"
        ),
    ),
}
"""What is made → rows (spread over the day) and how: `spacing_us` lies between them, of `every` so many calls one is taken."""
