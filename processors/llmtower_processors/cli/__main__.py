"""`python -m llmtower_processors.cli` is `llmtower`."""

from llmtower_processors.cli import main

main()
