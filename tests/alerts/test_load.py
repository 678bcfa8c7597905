"""A file of rules that cannot be used says of every fault where it is and what to do."""

from importlib import resources
from pathlib import Path

import pytest

from llmtower_dashboards.registry import PANELS
from llmtower_processors.alerts.durations import seconds
from llmtower_processors.alerts.load import MAX_BYTES, SHIPPED, RulesError, doubts, load_rules, parse_rules
from llmtower_processors.alerts.rules import BLIND, EXCEPT, Rule
from llmtower_processors.judge.model import APP
from llmtower_schemas.metrics import METRICS

HEAD = "rules:\n  - name: a\n    metric: error_rate\n"


def faults(text: str) -> list[str]:
    with pytest.raises(RulesError) as caught:
        parse_rules(text, "f.yaml")
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rules: [\n", "f.yaml:2:1: broken YAML"),
        ("rules:\n\t- name: a\n", "f.yaml:2:1: broken YAML: found character '\\t'"),
        ("a: 1\nrules: []\nrules: []\n", "f.yaml:3:1: 'rules' stands here a second time (first in line 2)"),
        ("- 1\n", "f.yaml:1:1: must be a mapping"),
        ("rule: []\n", "f.yaml:1:1: 'rule' is no key here; did you mean rules?"),
        ("version: 2\n", "f.yaml:1:10: version: Input should be 1"),
        ("rules:\n  - metric: calls\n    levels: {warning: {above: 1}}\n", "f.yaml:2:5: rule 1: name is missing"),
        (HEAD, "f.yaml:2:5: rule a: levels is missing"),
        (HEAD + "    levels: {}\n", "f.yaml:4:13: rule a: levels needs warning, critical or both"),
        (HEAD + "    levels: {warning: {}}\n", "f.yaml:4:23: rule a: a level needs exactly one of above, below"),
        (HEAD + "    levels: {warning: {above: 0.1, recover: 0.2}}\n", "f.yaml:4:45: rule a: recover (0.2) must not be greater than above"),
        (HEAD + "    levels: {warning: {above: 0.3}, critical: {above: 0.2}}\n", "rule a: critical must be further out than warning"),
        (HEAD + "    levels: {warning: {above: 0.3}, critical: {below: 0.2}}\n", "rule a: warning and critical must look the same way"),
        (
            HEAD + "    levels: {warning: {above: 1.5}}\n",
            "f.yaml:4:23: rule a: warning: no value of error_rate is ever above 1.5 here (the most is 1)",
        ),
        (HEAD + "    levels: {warning: {below: 0}}\n", "rule a: warning: no value of error_rate is ever below 0"),
        (HEAD + "    levels: {warning: {above: .inf}}\n", "f.yaml:4:31: rule a: above: Input should be a finite number"),
        (
            HEAD + "    burn_rate: {budget: 0.1}\n    levels: {warning: {above: 10}}\n",
            "no value of error_rate is ever above 10 here (the most is 10)",
        ),
        (
            HEAD + "    burn_rate: {budget: 0.1, long: 5m, short: 1h}\n    levels: {warning: {above: 2}}\n",
            "short must be a shorter window than long",
        ),
        (HEAD + "    budget: {amount: 5}\n    levels: {warning: {above: 0.5}}\n", "budget needs a sum, and error_rate is in ratio"),
        (
            HEAD + "    window: 30s\n    levels: {warning: {above: 0.5}}\n",
            "error_rate is kept in buckets of 60 s: a window of 30 s is too short",
        ),
        (
            HEAD + "    window: 5 minutes\n    levels: {warning: {above: 0.5}}\n",
            "f.yaml:4:13: rule a: '5 minutes' is no duration; write 90s, 5m",
        ),
        (HEAD + "    for: -5m\n    levels: {warning: {above: 0.5}}\n", "f.yaml:4:10: rule a: '-5m' is no duration"),
        (HEAD + "    fro: 5m\n    levels: {warning: {above: 0.5}}\n", "f.yaml:4:5: rule a: 'fro' is no key here; did you mean for?"),
        (
            HEAD + "    group_by: [user_id]\n    levels: {warning: {above: 0.5}}\n",
            "error_rate has no dimension 'user_id'; there are project, app",
        ),
        (HEAD + "    baseline: {days: 2}\n    levels: {warning: {above: 3}}\n", "min_days (3) must not be greater than days (2)"),
        (HEAD + "    sql: SELECT 1\n    levels: {warning: {above: 3}}\n", "a rule needs exactly one of metric, sql"),
        (
            "rules:\n  - name: a\n    metric: eror_rate\n    levels: {warning: {above: 0.1}}\n",
            "f.yaml:3:13: rule a: no metric is called 'eror_rate'; did you mean error_rate?",
        ),
        (
            "rules:\n  - name: a\n    sql: DROP TABLE calls\n    levels: {warning: {above: 0.1}}\n",
            "f.yaml:3:10: rule a: sql must begin with SELECT or WITH",
        ),
        (
            "rules:\n  - name: A b\n    metric: calls\n    levels: {warning: {above: 1}}\n",
            "f.yaml:2:11: rule A b: name: String should match pattern",
        ),
        ("except: {colour: [red]}\n", "f.yaml:1:9: no metric has a dimension 'colour'; there are project, app"),
        (
            HEAD + "    except: {user_id: [me]}\n    levels: {warning: {above: 0.5}}\n",
            "error_rate has no dimension 'user_id'; there are project, app",
        ),
        (
            "rules:\n  - name: a\n    sql: SELECT 1 AS value\n    except: {app: [x]}\n    levels: {warning: {above: 0.1}}\n",
            "rule a: except: sql must say itself where it leaves out app ({except_app:Array(String)})",
        ),
        (HEAD + "    window: 60d\n    levels: {warning: {above: 0.5}}\n", "f.yaml:4:13: rule a: window must be longer than nothing"),
        ("routes:\n  r: {kind: carrier-pigeon}\n", "f.yaml:2:13: kind: Input should be 'webhook', 'alertmanager' or 'apprise'"),
    ],
)
def test_a_fault_is_a_sentence_with_its_place(text: str, sentence: str) -> None:
    found = faults(text)
    assert any(sentence in line for line in found), found


def doubted(text: str, folder: Path) -> list[str]:
    file = folder / "f.yaml"
    file.write_text(text)
    load_rules(file)
    return [f"{one.line}:{one.column}: {one.message}" for one in doubts(file)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEAD + "    group_by: [app, app]\n    levels: {warning: {above: 0.5}}\n", "4:15: rule a: group_by names a dimension twice"),
        (
            HEAD + "    where: {app: []}\n    levels: {warning: {above: 0.5}}\n",
            "4:12: rule a: where: app has no value, so it keeps all rows",
        ),
        (
            HEAD + "    levels: {warning: {above: 0.5}}\n    enabled: false\n    routes: [pagr]\nroutes: {pager: {url_env: PAGER}}\n",
            "6:14: rule a: no route is called 'pagr'; did you mean pager?",
        ),
        (
            f"rules: [{{name: a, metric: {BLIND}, baseline: {{}}, levels: {{warning: {{above: 9}}}}}}]\n",
            f"1:27: rule a: metric {BLIND} is about the evaluator itself",
        ),
        ("routes:\n  r: {kind: webhook}\n", "2:6: route r has no address: give it url_env"),
        ("routes:\n  r: {url: 'https://h.example/', url_env: R}\n", "2:12: route r has url and url_env"),
    ],
)
def test_what_is_doubtful_is_a_sentence_with_its_place_in_a_file_that_is_used(text: str, sentence: str, tmp_path: Path) -> None:
    (found,) = doubted(text, tmp_path)
    assert found.startswith(sentence)


def test_all_faults_are_told_at_once_in_order() -> None:
    found = faults(
        HEAD + "    windw: 5m\n    levels: {warning: {above: 3}}\n  - name: b\n    metric: nothing_like_it_at_all\n    levels: 5\n"
    )
    assert [line.split(": ")[0] for line in found] == sorted(line.split(": ")[0] for line in found)
    assert len(found) == 3


def test_two_rules_of_one_name_are_refused() -> None:
    text = "rules:\n" + "  - {name: a, metric: calls, levels: {warning: {above: 1}}}\n" * 2
    assert faults(text) == ["f.yaml:3:12: two rules are called a; a name is part of every incident's key"]


@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        ("url: 'https://anna:S3CRET@h.example/x'", "holds a user or password (before the @)"),
        ("url: 'https://h.example/x?Token=S3CRET'", "holds a secret (parameter Token)"),
        ("url: 'https://hooks.slack.com/services/T0/S3CRET'", "of hooks.slack.com is a secret as a whole"),
        ("url: 'https://acme.webhook.office.com/S3CRET'", "of acme.webhook.office.com is a secret as a whole"),
        ("url: 'https://hooks.slack.com./services/S3CRET'", "of hooks.slack.com is a secret as a whole"),
        ("url: 'https://api.telegram.org/bot1:S3CRET/sendMessage'", "of api.telegram.org is a secret as a whole"),
        ("url: 'https://hooks.zapier.com/hooks/catch/1/S3CRET'", "of hooks.zapier.com is a secret as a whole"),
        ("url: 'https://chat.example/hooks/s3cretsecretsecretsecret'", "of chat.example is a secret as a whole"),
        ("url: 'https://h.example/x?code=S3CRET'", "holds a secret (parameter code)"),
        ("url: 'https://h.example/x?x-api-key=S3CRET'", "holds a secret (parameter x-api-key)"),
        ("kind: apprise, url: 'slack://tokenA/S3CRET/c'", "of slack:// is a secret as a whole"),
        ("kind: apprise, url: 'S3CRET'", "must be an address of apprise"),
        ("url: 'ftp://h.example/S3CRET'", "must be an address like https://host/path"),
        ("kind: alertmanager, url: S3CRET", "must be an address like https://host/path"),
        ("url: 'http://[S3CRET/'", "is no address"),
    ],
)
def test_an_address_that_leads_nowhere_or_holds_a_secret_is_doubtful_and_not_repeated(route: str, sentence: str, tmp_path: Path) -> None:
    (found,) = doubted(f"routes:\n  r: {{{route}}}\n", tmp_path)
    assert found.startswith(f"2:{8 + route.index('url: ') + 4}: route r: url {sentence}")
    assert "S3CRET" not in found.upper()
    assert "url_env" in found or "must be" in found or "no address" in found


def test_addresses_without_a_secret_may_stand_in_the_file(tmp_path: Path) -> None:
    known = (
        "url: 'http://127.0.0.1:9093'",
        "kind: apprise, url: 'json://127.0.0.1:8/hook'",
        "kind: apprise, url: 'mqtt://localhost/topic'",
        "kind: apprise, url: 'ntfy://topic'",
        "url: 'https://h.example/hooks/llmtower'",
        "kind: apprise, url_env: CHAT",
        "url_env: HOOK",
    )
    assert doubted("routes:\n" + "\n".join(f"  r{number}: {{{one}}}" for number, one in enumerate(known)), tmp_path) == []


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "aliases counted as often as they are used" in faults("\n".join(lines))[0]


def test_files_that_cannot_be_read_are_sentences(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    with pytest.raises(RulesError, match="cannot be read: No such file"):
        load_rules(missing)
    (tmp_path / "binary.yaml").write_bytes(b"rules: \xff")
    with pytest.raises(RulesError, match=r"is not UTF-8 \(byte 7\)"):
        load_rules(tmp_path / "binary.yaml")
    (tmp_path / "big.yaml").write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(RulesError, match="larger than 1 MiB"):
        load_rules(tmp_path / "big.yaml")


def test_own_rules_join_or_replace_the_shipped_ones(tmp_path: Path) -> None:
    file = tmp_path / "alerts.yaml"
    rule = "rules:\n  - {name: error_rate, metric: error_rate, levels: {warning: {above: 0.9}}}\n"
    rule += "  - {name: mine, metric: calls, levels: {warning: {below: 1}}}\n"
    file.write_text("include_defaults: true\n" + rule)
    both = load_rules(file)
    shipped = load_rules()
    assert [one.name for one in both.rules] == [*(one.name for one in shipped.rules), "mine"]
    replaced = next(one for one in both.rules if one.name == "error_rate")
    assert replaced.levels.warning is not None
    assert replaced.levels.warning.above == 0.9
    file.write_text(rule)
    assert [one.name for one in load_rules(file).rules] == ["error_rate", "mine"]


def test_what_no_rule_looks_at_is_said_in_one_place_and_can_be_switched(tmp_path: Path) -> None:
    def left_out(head: str, name: str = "error_rate") -> list[object]:
        file = tmp_path / "alerts.yaml"
        file.write_text(f"{head}\ninclude_defaults: true\n")
        rule = next(one for one in load_rules(file).rules if one.name == name)
        return [rule.conditions, rule.left_out]

    usual = [[("app", "NOT IN", ("llmtower-judge",)), ("environment", "NOT IN", ("experiment",))], {}]
    assert left_out("") == usual
    assert left_out("except: {}") == [[], {}]
    assert left_out("except: {environment: [load]}") == [[("environment", "NOT IN", ("load",))], {}]
    assert left_out("", "drift") == [[], {"except_environment": ["experiment"], "except_app": ["llmtower-judge"]}]
    assert left_out("except: {}", "drift") == [[], {"except_environment": [], "except_app": []}]
    own = "{name: error_rate, metric: error_rate, levels: {warning: {above: 0.9}}"
    assert left_out(f"rules: [{own}, except: {{}}}}]") == [[], {}]
    asked = left_out(f"rules: [{own}, where: {{environment: [experiment]}}}}]")
    assert asked == [[("environment", "IN", ("experiment",)), ("app", "NOT IN", ("llmtower-judge",))], {}], "who asks for them gets them"


def test_the_shipped_rules_leave_out_experiments_and_the_judge_but_for_money_and_what_is_lost() -> None:
    text = resources.files("llmtower_processors.alerts").joinpath(SHIPPED).read_text("utf-8")
    assert parse_rules(text).except_ == EXCEPT == {"environment": ["experiment"], "app": [APP]}
    sees_all = {rule.name for rule in load_rules().rules if not rule.conditions and not rule.left_out}
    money, ours = {"budget_project", "budget_app"}, {"dead_letters", "events_dropped", "events_missing", "evaluator_blind"}
    without_app = {"budget_judge", "judge_blind", "pipeline_behind"}
    assert sees_all == money | ours | without_app
    (by_user,) = (rule for rule in load_rules().rules if rule.name == "budget_user")
    assert by_user.conditions == [("user_id", "NOT IN", ("",))], "calls that name no user are nobody's budget"


def test_an_empty_file_has_no_rules() -> None:
    assert parse_rules("").rules == ()
    assert parse_rules("# nothing\n").rules == ()


def test_the_shipped_rules_cover_what_is_promised() -> None:
    rules = {rule.name: rule for rule in load_rules().active()}
    assert {
        *("cost_spike", "budget_project", "budget_app", "budget_user", "error_rate", "rate_limited", "timeouts", "auth_failures"),
        *("provider_errors", "content_filtered", "latency_p95", "ttft_p95", "hung_calls", "toxicity", "pii_leak", "negative_feedback"),
        *(
            "ungrounded",
            "irrelevant",
            "refusals",
            "injections",
            "unpriced_traffic",
            "events_missing",
            "events_dropped",
            "pipeline_behind",
            "dead_letters",
            "evaluator_blind",
        ),
    } <= rules.keys()
    assert all(rule.title for rule in rules.values())
    assert all(rule.metric in METRICS or rule.metric == BLIND or rule.sql for rule in rules.values())


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("5m", 300), ("1h 30m", 5_400), ("2d", 172_800), ("250ms", 0.25), (7, 7)])
def test_durations(text: object, expected: float) -> None:
    assert seconds(text) == expected


def test_hysteresis_of_both_directions() -> None:
    (rule,) = parse_rules("rules: [{name: a, metric: calls, levels: {warning: {below: 10, recover: 20}}}]").rules
    assert isinstance(rule, Rule)
    level = rule.levels.warning
    assert level is not None
    assert [(level.breached(value), level.recovered(value)) for value in (9, 10, 19, 20)] == [
        (True, False),
        (False, False),
        (False, False),
        (False, True),
    ]


def test_every_shipped_rule_names_a_panel_that_there_is() -> None:
    assert {rule.panel for rule in load_rules().rules} <= set(PANELS)
