"""Prompts on the command line: their files, plans, comparisons and tests."""
