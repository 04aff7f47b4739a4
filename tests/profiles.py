"""How long the model tests search: seconds as a rule, much longer with HYPOTHESIS_PROFILE=soak, as in `make soak`."""

import os

import pytest
from hypothesis import HealthCheck, settings

SOAKING = os.environ.get("HYPOTHESIS_PROFILE") == "soak"

SOAK = 200
"""How many times as many examples a soak tries."""

patient = pytest.mark.timeout(0 if SOAKING else 60)
"""The mark of a model test, which in a soak may take as long as it likes."""


def examples(number: int, *, steps: int) -> settings:
    """*number* examples of up to *steps* steps; many more in a soak."""
    return settings(
        max_examples=number * SOAK if SOAKING else number,
        stateful_step_count=steps * 2 if SOAKING else steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
