"""Which parameters next: pure functions of history, without SQL, HTTP or a clock."""
