"""When to stop early: pure functions of losses at rungs, without SQL, HTTP or a clock."""
