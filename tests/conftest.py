# SPDX-License-Identifier: MIT
"""
Settings shared by all tests.

Hypothesis profiles: ``ci`` (default) is quick and tries the same examples in every run,
``nightly`` searches long and elsewhere each time, ``debug`` prints every example. Choose with
``HYPOTHESIS_PROFILE=nightly``.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Verbosity, settings

# No deadlines: an example runs in an EVM whose first call compiles a contract.
_common = {
    "deadline": None,
    "print_blob": True,
    # A sequence of calls is large by nature; whether it is "too large" hangs on chance.
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile(
    "ci", max_examples=35, stateful_step_count=25, derandomize=True, **_common
)
settings.register_profile("nightly", max_examples=2_000, stateful_step_count=100, **_common)
settings.register_profile("debug", max_examples=10, verbosity=Verbosity.verbose, **_common)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")


def pytest_collectstart() -> None:
    """Settle it before each module: Brownie loads a profile of its own when it is imported."""
    settings.load_profile(PROFILE)


def pytest_runtest_setup() -> None:
    """And before each test, which may have imported Brownie since."""
    settings.load_profile(PROFILE)
