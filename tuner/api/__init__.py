"""The REST API: JSON over the study manager, on FastAPI."""
