# SPDX-License-Identifier: MIT
"""InsuranceFund: who may put in, who may draw, what is paid."""

from __future__ import annotations

import boa

from tests.market_world import deployer
from tests.venue_world import FUND_DELAY, FUND_WINDOW, world


def test_donate__anyone__logged() -> None:
    w = world(insurance=5)
    donor = w.actor("donor")
    w.quote.approve(w.fund.address, w.quotes(7), sender=donor)
    w.fund.donate(w.quotes(7), sender=donor)
    event = w.fund.get_logs()[-1]
    assert (event.donor, event.quote, event.held_before, event.held_after) == (
        donor,
        w.quotes(7),
        w.quotes(5),
        w.quotes(12),
    )
    assert w.fund.held() == w.quotes(12)
    with boa.reverts("fund: zero amount"):
        w.fund.donate(0, sender=donor)


def test_cover__registered__pays_what_it_can() -> None:
    w = world(insurance=5)
    venue = str(boa.env.generate_address("another venue"))
    w.fund.register(venue, w.quotes(9))
    assert w.fund.available(venue) == w.quotes(5)
    assert w.fund.cover(w.quotes(2), sender=venue) == w.quotes(2)
    event = w.fund.get_logs()[-1]
    assert (event.venue, event.asked, event.paid) == (venue, w.quotes(2), w.quotes(2))
    assert w.fund.cover(w.quotes(9), sender=venue) == w.quotes(3)
    assert w.fund.cover(w.quotes(9), sender=venue) == 0
    assert w.fund.held() == 0
    assert w.quote.balanceOf(venue) == w.quotes(5)


def test_cover__stranger_or_struck_off__gets_nothing() -> None:
    w = world(insurance=5)
    stranger = w.actor("stranger")
    assert w.fund.cover(1, sender=stranger) == 0
    assert w.fund.available(stranger) == 0
    w.fund.register(w.venue.address, 0)
    event = w.fund.get_logs()[-1]
    assert (event.allotment_before, event.allotment_after) == (2**104, 0)  # without limit
    assert w.fund.available(w.venue.address) == 0
    assert w.fund.held() == w.quotes(5)


def test_register__only_owner() -> None:
    w = world()
    with boa.reverts("ownable: caller is not the owner"):
        w.fund.register(w.venue.address, 1, sender=w.actor("stranger"))
    with boa.reverts("fund: zero address"):
        w.fund.register("0x" + "00" * 20, 1)
    with boa.reverts("fund: zero address"):
        deployer("InsuranceFund.vy").deploy("0x" + "00" * 20, FUND_DELAY, FUND_WINDOW)


def test_collect__share_of_fees__moves_to_the_fund() -> None:
    w = world(insurance=5)
    trader = w.trader("trader", quote=100)
    w.trade(trader, 100)  # a fifth of 0.05
    assert w.venue.market(10**18)[17] == w.quotes("5.01")
    with boa.reverts("venue: not the fund"):
        w.venue.pay_fund(sender=trader)
    assert w.fund.collect(w.venue.address, sender=trader) == w.quotes("0.01")
    assert w.fund.held() == w.quote.balanceOf(w.fund.address) == w.quotes("5.01")
    assert w.venue.state()[9] == 0
    with boa.reverts("fund: nothing to collect"):
        w.fund.collect(w.venue.address)
    with boa.reverts("fund: venue not registered"):
        w.fund.collect(trader)


def test_fund__tokens_sent_directly__ignored() -> None:
    w = world(insurance=5)
    giver = w.actor("giver")
    w.quote.transfer(w.fund.address, w.quotes(7), sender=giver)
    assert w.fund.held() == w.quotes(5)
    assert w.fund.available(w.venue.address) == w.quotes(5)
