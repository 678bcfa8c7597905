"""What Grafana's ClickHouse plugin is asked (grafana/clickhouse-datasource 4.x): the foundation SDK has no type for it."""

from dataclasses import dataclass
from typing import Final, Literal

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import DataSourceRef

PLUGIN: Final = "grafana-clickhouse-datasource"
PLUGIN_VERSION: Final = "4.20.0"
DATASOURCE_UID: Final = "llmtower-clickhouse"
"""Dashboards and rules name the data source by this uid; numeric ids are off in Grafana 13."""

Format = Literal["series", "table"]
_FORMATS: Final[dict[Format, int]] = {"series": 0, "table": 1}
"""The plugin's numbers. `series` turns rows of (time, labels, values) into one series per label; both are what sqlds does."""


def datasource(uid: str = DATASOURCE_UID) -> DataSourceRef:
    """Name the data source."""
    return DataSourceRef(type_val=PLUGIN, uid=uid)


@dataclass(frozen=True, slots=True)
class ClickHouseQuery(Builder[Dataquery], Dataquery):
    """One statement, its own builder: SQL with the plugin's macros, and whether the answer is a table or series over time."""

    sql: str
    format: Format
    ref_id: str = "A"
    uid: str = DATASOURCE_UID

    def build(self) -> Dataquery:
        """Give itself: it is a value already."""
        return self

    def to_json(self) -> dict[str, object]:
        """Give what stands in a dashboard's `targets`."""
        return {
            "refId": self.ref_id,
            "datasource": {"type": PLUGIN, "uid": self.uid},
            "editorType": "sql",
            "pluginVersion": PLUGIN_VERSION,
            "format": _FORMATS[self.format],
            "queryType": "timeseries" if self.format == "series" else "table",
            "rawSql": self.sql,
        }
