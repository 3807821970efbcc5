# SPDX-License-Identifier: MIT
import pytest

from scripts.demo_flows import LAST_SHARE, Kind, plan_flows

ONE = 10**18


def test_plan__same_seed__same_wishes():
    assert plan_flows(96, 7, ONE) == plan_flows(96, 7, ONE)
    assert plan_flows(96, 7, ONE) != plan_flows(96, 8, ONE)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("hours", [8, 24, 96, 264])
def test_plan__each_depositor__comes_before_he_goes(hours, seed):
    flows = plan_flows(hours, seed, ONE)
    for depositor in range(3):
        own = [flow for flow in flows if flow.depositor == depositor]
        kinds = [flow.kind for flow in own]
        assert kinds == [Kind.IN, Kind.PART, Kind.OUT][: len(own)]
        moments = [flow.hour for flow in own]
        assert moments == sorted(set(moments))
    assert sum(flow.kind is Kind.OUT for flow in flows) == 2  # one stays
    assert max(flow.hour for flow in flows) <= LAST_SHARE * hours + 1
    assert flows[0].hour == 0


@pytest.mark.parametrize("seed", range(10))
def test_plan__first_deposit__fits_into_an_empty_vault(seed):
    first = plan_flows(96, seed, ONE)[0]
    assert (first.depositor, first.kind) == (0, Kind.IN)
    assert 0 < first.assets <= 100 * ONE
