"""`python -m llmtower_processors.cli` is `llmtower`."""

from llmtower_processors.cli import main

if __name__ == "__main__":
    main()
