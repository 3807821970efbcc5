# SPDX-License-Identifier: MIT
"""The rule on the waves of 2025-10-10, beside what production took (M-09)."""

from __future__ import annotations

import pytest

from tests.deleveraging_world import SHOCKS, WAVES, read_waves, rule_on, table

pytestmark = pytest.mark.skipif(
    not (WAVES.exists() and SHOCKS.exists()), reason="the recorded event is not beside the project"
)
MILLION = 10**6 * 10**6  # quote units of 6 decimals


@pytest.fixture(scope="module")
def waves():
    return read_waves()


def test_files__are_the_event(waves):
    assert len(waves) == 16
    assert sum(wave.needed for wave in waves) / MILLION == pytest.approx(15.08, abs=0.005)
    assert sum(wave.production for wave in waves) / MILLION == pytest.approx(60.11, abs=0.005)


@pytest.mark.parametrize("by_queue", [False, True], ids=["pro rata", "by queue size"])
def test_rule__every_wave__takes_the_need_to_the_unit(waves, by_queue):
    for wave in waves:
        ours = rule_on(wave, by_queue=by_queue)
        assert ours.taken == wave.needed
        assert ours.borne_by_pool == 0


def test_rule__sizes_by_queue__cuts_fewer_and_deeper_than_pro_rata(waves):
    for wave in waves:
        flat, by_queue = rule_on(wave, by_queue=False), rule_on(wave, by_queue=True)
        assert flat.haircut <= by_queue.haircut < 1
        assert by_queue.cut <= flat.cut


def test_table__is_printed(waves):
    print(f"\n{table(waves)}")
