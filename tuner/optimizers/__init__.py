"""What is known about optimizers: pure data, with the source of every number (no torch)."""
