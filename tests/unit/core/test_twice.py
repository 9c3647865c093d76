"""A name given twice is said, not only its place."""

import pytest
from pydantic import ValidationError

from tuner.core.space_spec import OptimizerChoice


def test_an_optimizer_given_twice_is_named():
    with pytest.raises(ValidationError, match="'adamw' is given twice"):
        OptimizerChoice.model_validate(["adamw", "sgd", "adamw"])
