"""The ClickHouse engine (chdb) behind ClickHouse's own HTTP interface, for one machine without a server."""

from llmtower_processors.engine.credentials import Credentials, Role
from llmtower_processors.engine.process import EngineProcess, EngineStartError

__all__ = ["Credentials", "EngineProcess", "EngineStartError", "Role"]
