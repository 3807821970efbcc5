# SPDX-License-Identifier: MIT
"""
Coming and going of providers costs those who stay nothing, whatever prices and time do.

On the reference model, which is equal to the contract to the unit (`test_reference_venue.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from keeper.simulation.reference import Feed, PriceOracle, Reverted, Source, Terms, Venue, build
from keeper.units import WAD
from tests.venue_world import FEED_UNIT, POOL_DELAY, PRICE_STAND, default_terms

START = 1_700_000_000
PRICE = 1_000
PROVIDERS = ("passive", "ann", "ben", "cid")


@dataclass
class Market:
    """A venue with its pool and the only long or short, at a time that tests move."""

    venue: Venue
    feeds: tuple[Feed, Feed]
    now: int = START

    def publish(self, permille: int) -> None:
        """Publish a price as so many thousandths of the first."""
        self.feeds[0].set_answer(PRICE * permille * FEED_UNIT // 1_000, at=self.now)
        self.feeds[1].set_answer(FEED_UNIT, at=self.now)

    def become_due(self, permille: int) -> None:
        """Let requests become due at that price."""
        self.now += POOL_DELAY
        self.publish(permille)
        self.venue.pool.note_price(at=self.now)
        self.now += PRICE_STAND

    @property
    def price_wad(self) -> int:
        return self.venue.pool.oracle.read(at=self.now).price_wad

    @property
    def equity(self) -> int:
        return self.venue.pool.equity(self.price_wad, at=self.now)


def market(skew: int, liquidity: int, quote_decimals: int = 6) -> Market:
    """Return a market of whole assets of skew, and a pool that was provided by `passive`."""
    feeds = Feed(8, PRICE * FEED_UNIT, at=START), Feed(8, FEED_UNIT, at=START)
    oracle = PriceOracle(Source(feeds[0], 86_400, 50), Source(feeds[1], 86_400, 25), 100)
    terms = Terms(**default_terms(18, quote_decimals))
    venue = build(terms, oracle, asset_decimals=18, quote_decimals=quote_decimals, at=START)
    venue.pool.request_provide("passive", liquidity, at=START)
    venue.pool.execute_provide("passive", at=START)
    venue.deposit("trader", 0, 10**6 * 10**quote_decimals, at=START)
    if skew:
        limit = 2**256 - 1 if skew > 0 else 0
        venue.trade("trader", 0, skew * 10**18, limit, at=START)
    return Market(venue, feeds)


skews = st.integers(-90, 90)
# 90 assets at 1,900 need 342,000 of equity, which 500,000 keep when they lose 90 times 900.
liquidities = st.integers(500_000 * 10**6, 10**9 * 10**6)
moves = st.integers(300, 1_900)  # thousandths of the first price
amounts = st.integers(2 * 10**6, 10**13)


@given(skew=skews, liquidity=liquidities, quote=amounts, prices=st.tuples(moves, moves, moves))
def test_in_and_out__at_any_three_prices__never_more_than_was_paid(skew, liquidity, quote, prices):
    """
    Who asks to leave as soon as he is in, gains nothing from prices he saw coming or did not.

    Sum: he enters at no less than the value of his execution, from which he asks to leave, and
    leaves at no more than that.
    """
    here = market(skew, liquidity)
    pool = here.venue.pool
    here.publish(prices[0])
    pool.request_provide("ann", quote, at=here.now)
    here.become_due(prices[1])
    shares = pool.execute_provide("ann", at=here.now)
    pool.request_remove("ann", shares, at=here.now)
    here.become_due(prices[2])
    passive = here.equity * WAD // pool.total_shares
    paid, assets = pool.execute_remove("ann", at=here.now)
    assert paid <= quote
    assert assets == 0
    assert here.equity * WAD // pool.total_shares >= passive


steps = st.lists(
    st.tuples(
        st.sampled_from(["in", "out", "execute", "cancel", "price"]), st.integers(1, 3), moves
    ),
    min_size=5,
    max_size=25,
)


@given(skew=skews, liquidity=liquidities, plan=steps)
def test_any_sequence__share_value_never_falls_because_somebody_came_or_went(skew, liquidity, plan):
    here = market(skew, liquidity)
    pool = here.venue.pool

    def keeps(call, *arguments, **time):
        """Hold what must hold around a call; one that is refused changes nothing."""
        before = here.equity, pool.total_shares
        try:
            call(*arguments, **time)
        except Reverted:
            assert (here.equity, pool.total_shares) == before
            return
        assert here.equity * before[1] >= before[0] * pool.total_shares
        holdings = sum(pool.shares_of.values()) + sum(r.shares for r in pool.removal_of.values())
        assert pool.total_shares == holdings
        assert pool.quote_escrowed == sum(p.quote for p in pool.provision_of.values())
        for each in PROVIDERS:
            owned = pool.shares_of.get(each, 0) + pool.removal(each).shares
            assert owned == 0 or owned >= pool.min_holding

    for what, who, number in plan:
        owner = PROVIDERS[who]
        shares = pool.shares_of.get(owner, 0) * min(number, 1_000) // 1_000
        match what:
            case "in":
                keeps(pool.request_provide, owner, number ** (who + 1), at=here.now)
            case "out":
                keeps(pool.request_remove, owner, shares, at=here.now)
            case "cancel":
                keeps(pool.cancel_provide, owner)
                keeps(pool.cancel_remove, owner)
            case "price":
                here.now += number
                here.publish(number)
            case _:
                here.become_due(number)
                keeps(pool.execute_provide, owner, at=here.now)
                keeps(pool.execute_remove, owner, at=here.now)
