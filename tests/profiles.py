"""How long the model tests search: seconds as a rule, much longer with HYPOTHESIS_PROFILE=soak, as in `make soak`."""

import os

from hypothesis import HealthCheck, settings

SOAK = 200
"""How many times as many examples a soak tries."""


def examples(number: int, *, steps: int) -> settings:
    """*number* examples of up to *steps* steps; many more in a soak."""
    soaking = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
    return settings(
        max_examples=number * SOAK if soaking else number,
        stateful_step_count=steps * 2 if soaking else steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
