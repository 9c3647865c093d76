"""The command line, Typer over the client: one module per noun."""
