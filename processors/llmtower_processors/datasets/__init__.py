"""Datasets out of calls: chosen, redacted, without duplicates, in versions that never change; and their export for training."""
