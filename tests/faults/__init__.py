"""Seeded attacks on the real pipeline: kills, freezes, cuts and delays, with the producers' own journals as the oracle."""
