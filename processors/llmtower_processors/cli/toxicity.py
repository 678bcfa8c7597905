"""`toxicity`: bring the strong model's weights here, and say which model scores."""

from typing import Annotated

import typer

from llmtower_processors.cli.options import DATA_DIR, DataDir
from llmtower_processors.connection import load_settings


def toxicity_fetch(
    model: Annotated[str, typer.Argument(help="original, unbiased or multilingual.")] = "original", data_dir: DataDir = DATA_DIR
) -> None:
    """Download an official checkpoint of Detoxify into the data folder, checked by its SHA-256 before it gets its name.

    Config and vocabulary of the model it was trained from are not part of it: put them in a folder and set LLMTOWER_TOXICITY__FOLDER.

    Example: `llmtower toxicity fetch original`
    """
    from llmtower_processors.toxic.checkpoint import OFFICIAL, ModelError, fetch, sha256_of

    if model not in OFFICIAL:
        raise ModelError(f"Detoxify has no model {model}. There are: {', '.join(OFFICIAL)}.")
    path = fetch(model, load_settings(data_dir).data_dir / "models")
    typer.echo(f"{path} is there, SHA-256 {sha256_of(path)}.")
    typer.echo(f"Next: LLMTOWER_TOXICITY__MODEL={model}, and LLMTOWER_TOXICITY__FOLDER=a folder with config.json and the vocabulary of")
    typer.echo(f"{OFFICIAL[model].hub}; then `llmtower toxicity check`.")


def toxicity_check(data_dir: DataDir = DATA_DIR) -> None:
    """Load what LLMTOWER_TOXICITY__MODEL asks for and say which model scores; exit code 1 where it cannot be used.

    Example: `llmtower toxicity check`
    """
    from llmtower_processors.toxic.load import choose

    settings = load_settings(data_dir)
    choice = choose(settings.toxicity, settings.data_dir)
    typer.echo(choice.sentence)
    if choice.failed:
        raise typer.Exit(1)
