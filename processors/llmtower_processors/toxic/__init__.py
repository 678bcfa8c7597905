"""Toxicity: a linear model on every text, a strong model where it matters, and the arithmetic that keeps rates honest."""
