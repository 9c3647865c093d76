"""The study manager: the only writer of state. One function is one transaction; callers commit."""
