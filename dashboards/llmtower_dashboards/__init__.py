"""Panels and pages that read the tables."""
