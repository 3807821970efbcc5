# SPDX-License-Identifier: MIT
import pytest

from keeper.simulation.market import FUNDING_SECS, HOUR_SECS
from keeper.simulation.paths import MAX_HOURS, MIN_HOURS, jump_diffusion

MONDAY = 1_736_121_600  # 2025-01-06 00:00 UTC


def test_path__same_seed__same_hours():
    assert jump_diffusion(96, 7, MONDAY) == jump_diffusion(96, 7, MONDAY)


def test_path__other_seed__other_hours():
    assert jump_diffusion(96, 7, MONDAY) != jump_diffusion(96, 8, MONDAY)


def test_path__hours__close_one_after_the_other():
    hours = jump_diffusion(48, 1, MONDAY + 1)  # not on the hour: the first close is rounded up
    assert [hour.closes_at for hour in hours] == [MONDAY + (2 + i) * HOUR_SECS for i in range(48)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("hours", [MIN_HOURS, 24, 96])
def test_path__any_seed__has_a_crash_and_a_squeeze(hours, seed):
    path = jump_diffusion(hours, seed, MONDAY)
    spots = [hour.spot for hour in path]
    window = max(2, hours // 12)
    falls = [spots[i] / spots[max(0, i - window)] - 1 for i in range(hours)]
    assert min(falls) < -0.15
    assert max(falls) > 0.15
    assert falls.index(min(falls)) < falls.index(max(falls))
    bases = [hour.basis for hour in path]
    assert min(bases) < -0.0015
    assert max(bases) > 0.0010


def test_path__funding__is_settled_every_eight_hours():
    path = jump_diffusion(48, 3, MONDAY)
    settled = [hour.closes_at for hour in path if hour.funding_rate is not None]
    assert settled == list(range(MONDAY + FUNDING_SECS, MONDAY + 49 * HOUR_SECS, 28_800))


@pytest.mark.parametrize("hours", [MIN_HOURS - 1, MAX_HOURS + 1])
def test_path__hours_out_of_range__refused(hours):
    with pytest.raises(ValueError, match=f"not {hours}"):
        jump_diffusion(hours, 1, MONDAY)


def test_path__negative_seed__refused():
    with pytest.raises(ValueError, match="seed"):
        jump_diffusion(24, -1, MONDAY)
