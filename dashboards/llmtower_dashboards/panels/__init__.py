"""The panels: one module per dashboard, and the pieces of SQL they share (`sql.py`)."""
