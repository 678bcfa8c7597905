"""Files for Grafana's own provisioning: a data source, a provider, and one JSON file per dashboard. Pure: paths to texts."""

import json
from typing import Any, Final

from llmtower_dashboards.grafana.dashboards import FOLDER, FOLDER_UID, dashboards, text
from llmtower_dashboards.grafana.resources import Reader, data_source

PASSWORD_VARIABLE: Final = "CLICKHOUSE_DASHBOARDS_PASSWORD"  # noqa: S105 - the name of a variable
"""Of Grafana's environment: the password of ClickHouse's dashboards reader. It never stands in a file."""
MOUNT: Final = "/etc/grafana/provisioning/dashboards/llmtower"
"""Where Grafana's container sees the folder `dashboards/llmtower`."""
_NOTE: Final = "# Made by `llmtower dashboards build`; changes here are lost.\n"


def files(reader: Reader) -> dict[str, str]:
    """Give every file below Grafana's provisioning folder."""
    made = {f"dashboards/llmtower/{uid}.json": text(body) for uid, body in dashboards(reader.uid).items()}
    return {"datasources/llmtower.yaml": _yaml(_sources(reader)), "dashboards/llmtower.yaml": _yaml(_provider()), **made}


def _sources(reader: Reader) -> dict[str, Any]:
    body = _escaped(dict(data_source(reader).body))
    return {
        "apiVersion": 1,
        "datasources": [{**body, "editable": False, "secureJsonData": {"password": f"${PASSWORD_VARIABLE}"}}],
    }


def _provider() -> dict[str, Any]:
    provider = {
        "name": FOLDER_UID,
        "type": "file",
        "folder": FOLDER,
        "folderUid": FOLDER_UID,
        "allowUiUpdates": False,
        "disableDeletion": False,
        "options": {"path": MOUNT},
    }
    return {"apiVersion": 1, "providers": [provider]}


def _escaped(value: Any) -> Any:
    """Grafana reads `$name` in these files as its environment."""
    if isinstance(value, dict):
        return {name: _escaped(one) for name, one in value.items()}
    return value.replace("$", "$$") if isinstance(value, str) else value


def _yaml(value: Any) -> str:
    """JSON is YAML; written so, no library is needed and nothing is guessed."""
    return _NOTE + json.dumps(value, indent=2, ensure_ascii=False) + "\n"
