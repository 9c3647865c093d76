"""`pytest tests/contract/state_machine --hypothesis-profile=long` plays many long histories."""

from hypothesis import settings

settings.register_profile("long", max_examples=300, stateful_step_count=80)
