"""The registry of models and fine-tunes, and what their traffic costs, how fast and how good it is."""
