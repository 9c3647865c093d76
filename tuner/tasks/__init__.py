"""What built-in training offers: data sets, models, options and metrics (pure data, no torch)."""
