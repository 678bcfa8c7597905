"""What Grafana's provisioning API and its provisioning files take of alerting, as documented (13.1), and what it says of the rest.

Facts from https://grafana.com/docs/grafana/latest/developer-resources/api-reference/http-api/api-legacy/alerting_provisioning/ and
…/alerting/set-up/provision-alerting-resources/file-provisioning/. Keys that are not documented are faults here: the real one drops them in
silence. `orgID` is documented as required and taken from the token's organisation.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

RULE: Final = frozenset({"title", "ruleGroup", "folderUID", "condition", "data", "noDataState", "execErrState", "for"})
RULE_MORE: Final = frozenset(
    {"uid", "keep_firing_for", "annotations", "labels", "isPaused", "notification_settings", "record", "missingSeriesEvalsToResolve"}
)
FILE_RULE: Final = frozenset({"uid", "title", "condition", "data", "for"})
FILE_RULE_MORE: Final = frozenset(
    {
        "noDataState",
        "execErrState",
        "keepFiringFor",
        "annotations",
        "labels",
        "isPaused",
        "dashboardUid",
        "panelId",
        "notification_settings",
    }
)
CONTACT: Final = frozenset({"name", "type", "settings"})
CONTACT_MORE: Final = frozenset({"uid", "disableResolveMessage"})
POLICY_MORE: Final = frozenset(
    {"receiver", "object_matchers", "matchers", "continue", "group_by", "group_wait", "group_interval", "repeat_interval", "routes"}
)
NO_DATA: Final = ("Alerting", "NoData", "OK", "KeepLast")
FAILED: Final = ("OK", "Alerting", "Error", "KeepLast")
SETTINGS: Final = {
    "webhook": frozenset(
        {"url", "httpMethod", "username", "password", "authorization_scheme", "authorization_credentials", "maxAlerts", "title", "message"}
    ),
    "prometheus-alertmanager": frozenset({"url", "basicAuthUser", "basicAuthPassword"}),
}
INVERSE: Final = {"gt": "lt", "lt": "gt"}
DURATION: Final = re.compile(r"0|0s|(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?")
UID: Final = re.compile(r"[a-zA-Z0-9_-]{1,40}")
LONGEST_TITLE: Final = 190
BASE_INTERVAL_S: Final = 10


def faults_of_group(body: Mapping[str, Any], folder: str, group: str) -> Iterator[str]:
    """Of the body of PUT /api/v1/provisioning/folder/{folder}/rule-groups/{group}."""
    yield from _keys(body, frozenset({"title", "folderUid", "interval", "rules"}), frozenset(), "group")
    if (body.get("title"), body.get("folderUid")) != (group, folder):
        yield "group: title and folderUid are others than in the address"
    if not isinstance(body.get("interval"), int) or body["interval"] <= 0 or body["interval"] % BASE_INTERVAL_S:
        yield "group: interval must be a number of seconds, divisible by 10"
    for rule in body.get("rules", ()):
        yield from _keys(rule, RULE, RULE_MORE, str(rule.get("title")))
        if (rule.get("ruleGroup"), rule.get("folderUID")) != (group, folder):
            yield f"{rule.get('title')}: of another group or folder"
    yield from _rules(body.get("rules", ()), "keep_firing_for")


def faults_of_contact(body: Mapping[str, Any]) -> Iterator[str]:
    """Of the body of POST and PUT /api/v1/provisioning/contact-points."""
    yield from _keys(body, CONTACT, CONTACT_MORE, "contact point")
    yield from _receiver(body, str(body.get("name")))


def faults_of_policy(body: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    """Of the body of PUT /api/v1/provisioning/policies, the whole tree."""
    if body.get("receiver") not in known:
        yield f"receiver '{body.get('receiver')}' is undefined"
    yield from _routes(body.get("routes", ()), known)


def faults_of_template(name: str, body: Mapping[str, Any]) -> Iterator[str]:
    """Of the body of PUT /api/v1/provisioning/templates/{name}. Without a version nobody asks whether it was changed meanwhile."""
    yield from _keys(body, frozenset({"template"}), frozenset({"version"}), f"template {name}")
    text = body.get("template")
    if not isinstance(text, str) or not text.strip():
        yield f"template {name}: template must have content"
    elif text != text.strip() or f'define "{name}' not in text:
        yield f"template {name}: it would be stored otherwise than it was sent"


def faults_of_file(whole: Mapping[str, Any]) -> Iterator[str]:
    """Of a file in provisioning/alerting, variables replaced but for questions' models."""
    yield from _keys(whole, frozenset({"apiVersion"}), frozenset({"groups", "templates", "contactPoints", "policies"}), "file")
    for template in whole.get("templates", ()):
        yield from _keys(template, frozenset({"name", "template"}), frozenset({"orgId"}), "template")
        yield from faults_of_template(template.get("name", ""), {"template": template.get("template")})
    used = {name.partition(".")[0] for name in _named(whole.get("contactPoints", ()))}
    if missing := used - {template.get("name") for template in whole.get("templates", ())}:
        yield f"templates that are not there: {', '.join(sorted(missing))}"
    for group in whole.get("groups", ()):
        yield from _keys(group, frozenset({"name", "folder", "interval", "rules"}), frozenset({"orgId"}), "group")
        yield from _durations(group, ("interval",), "group")
        for rule in group["rules"]:
            yield from _keys(rule, FILE_RULE, FILE_RULE_MORE, str(rule.get("title")))
            if "$" in json.dumps(rule.get("annotations", {})):
                yield f"{rule.get('title')}: versions of Grafana differ in what they make of a $ in annotations"
            if ("panelId" in rule) != ("dashboardUid" in rule) or not isinstance(rule.get("panelId", 0), int):
                yield f"{rule.get('title')}: dashboardUid and panelId go together"
        yield from _rules(group["rules"], "keepFiringFor")
    for contact in whole.get("contactPoints", ()):
        yield from _keys(contact, frozenset({"name", "receivers"}), frozenset({"orgId"}), "contact point")
        for receiver in contact["receivers"]:
            yield from _keys(receiver, frozenset({"uid", "type", "settings"}), frozenset({"disableResolveMessage"}), contact["name"])
            yield from _receiver(receiver, contact["name"])
    known = {contact["name"] for contact in whole.get("contactPoints", ())}
    for policy in whole.get("policies", ()):
        yield from faults_of_policy(policy, known)


def _keys(body: Mapping[str, Any], needed: frozenset[str], more: frozenset[str], of: str) -> Iterator[str]:
    yield from (f"{of}: {name} is missing" for name in sorted(needed - body.keys()))
    yield from (f"{of}: {name} is no key" for name in sorted(body.keys() - needed - more))


def _rules(rules: Any, keep: str) -> Iterator[str]:
    titles, uids = [rule.get("title") for rule in rules], [rule.get("uid") for rule in rules]
    if len(set(titles)) < len(titles) or len(set(uids)) < len(uids):
        yield "rule title and uid under the same organisation and folder should be unique"
    for rule in rules:
        of = str(rule.get("title"))
        if not 0 < len(of) <= LONGEST_TITLE:
            yield f"{of}: title is longer than {LONGEST_TITLE}"
        if not UID.fullmatch(str(rule.get("uid"))):
            yield f"{of}: uid {rule.get('uid')}"
        if rule.get("noDataState") not in NO_DATA or rule.get("execErrState") not in FAILED:
            yield f"{of}: unknown state"
        yield from _durations(rule, ("for", keep), of)
        if any(not isinstance(value, str) for name in ("labels", "annotations") for value in rule.get(name, {}).values()):
            yield f"{of}: labels and annotations are texts"
        place = rule.get("annotations", {})
        if ("__dashboardUid__" in place) != ("__panelId__" in place) or not place.get("__panelId__", "0").isdecimal():
            yield f"{of}: __dashboardUid__ and __panelId__ go together"
        yield from _data(rule, of)


def _data(rule: Mapping[str, Any], of: str) -> Iterator[str]:
    references = [one.get("refId") for one in rule.get("data", ())]
    if rule.get("condition") not in references:
        yield f"{of}: condition {rule.get('condition')} is no query"
    if len(set(references)) < len(references):
        yield f"{of}: refId is used twice"
    for one in rule.get("data", ()):
        allowed = frozenset({"refId", "datasourceUid", "model", "relativeTimeRange"})
        yield from _keys(one, allowed, frozenset({"queryType"}), of)
        span = one.get("relativeTimeRange", {})
        if one.get("model", {}).get("refId") != one.get("refId") or span.get("from", -1) < span.get("to", 0) < 0:
            yield f"{of}: query {one.get('refId')}"
        if one.get("datasourceUid") == "__expr__":
            yield from _threshold(one["model"], references, of)
            if one.get("refId") != rule.get("condition") and any("unloadEvaluator" in made for made in one["model"].get("conditions", ())):
                yield f"{of}: recovery threshold '{one.get('refId')}' is only allowed to be the alert condition"
        elif span.get("from", 0) <= 0 or not one["model"].get("rawSql"):
            yield f"{of}: a question has SQL and a span of time"


def _threshold(model: Mapping[str, Any], references: list[Any], of: str) -> Iterator[str]:
    """Hysteresis: the way back must look the other way, and only a condition may have one."""
    if model.get("type") != "threshold" or model.get("expression") not in references:
        yield f"{of}: expression"
    for condition in model.get("conditions", ()):
        evaluator, unload = condition["evaluator"], condition.get("unloadEvaluator")
        if evaluator["type"] not in INVERSE or len(evaluator["params"]) != 1:
            yield f"{of}: evaluator"
        if unload and (unload["type"] != INVERSE[evaluator["type"]] or len(unload["params"]) != 1):
            yield f"{of}: unload condition must be inverse"


def _receiver(body: Mapping[str, Any], of: str) -> Iterator[str]:
    if not UID.fullmatch(str(body.get("uid"))):
        yield f"{of}: uid {body.get('uid')}"
    settings = body.get("settings", {})
    if body.get("type") not in SETTINGS:
        yield f"{of}: type {body.get('type')}"
    elif not settings.get("url"):
        yield f"{of}: required field 'url' is not specified"
    else:
        yield from _keys(settings, frozenset({"url"}), SETTINGS[body["type"]], of)


def _named(contacts: Any) -> Iterator[str]:
    """Templates that contact points use."""
    yield from re.findall(r'template \\?"([^"\\]+)', json.dumps(list(contacts)))


def _routes(routes: Any, known: set[str]) -> Iterator[str]:
    for route in routes:
        of = str(route.get("receiver"))
        yield from _keys(route, frozenset(), POLICY_MORE, of)
        if route.get("receiver") not in known:
            yield f"receiver '{of}' is undefined"
        for matcher in route.get("object_matchers", ()):
            if len(matcher) != 3 or matcher[1] not in ("=", "!=", "=~", "!~"):
                yield f"{of}: matcher"
        yield from _durations(route, ("group_wait", "group_interval", "repeat_interval"), of)
        yield from _routes(route.get("routes", ()), known)


def _durations(body: Mapping[str, Any], names: tuple[str, ...], of: str) -> Iterator[str]:
    for name in names:
        if name in body and not (isinstance(body[name], str) and body[name] and DURATION.fullmatch(body[name])):
            yield f"{of}: {name} is no duration"
