"""Where trials run: one file per kind of place."""
