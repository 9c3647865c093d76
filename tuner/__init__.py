"""Hyperparameter tuning for deep-learning training, specialised in optimizers."""
