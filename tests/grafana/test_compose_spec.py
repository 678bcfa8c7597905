"""docker-compose.yml by the parser of the Compose specification (compose-spec: every field and value is known and well-formed)."""

import pytest
import yaml
from compose_spec import PyCompose

from tests.dashboards.compose import loaded, variables

PASSWORDS = {name: "value" for name, (kind, _) in variables().items() if kind == ":?"}


def test_it_follows_the_specification() -> None:
    read = PyCompose.from_yaml(yaml.safe_dump(loaded(PASSWORDS)))
    read.validate()
    assert {"kafka", "clickhouse", "worker", "gateway", "page", "grafana"} <= set(read.service_names())


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("condition: service_healthy", "condition: service_helthy"),
        ("restart: unless", "restrat: unless"),
        ("interval: 10s", "interval: often"),
    ],
)
def test_a_mistake_would_be_found(right: str, wrong: str) -> None:
    text = yaml.safe_dump(loaded(PASSWORDS))
    assert right in text
    with pytest.raises(Exception, match=r"services\."):
        PyCompose.from_yaml(text.replace(right, wrong))
