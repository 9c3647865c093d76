"""The Python client: studies and trials over HTTP, with or without a server of your own."""
