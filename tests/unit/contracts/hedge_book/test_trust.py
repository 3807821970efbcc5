# SPDX-License-Identifier: MIT
"""How far a book believes its venues: 100 assets at 1,000, half of the hedge at each of two."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import deployer
from tests.vault_world import DAY, Leg, add_settable_venue, vault_world

SILENT, BURNING, QUOTES_NOTHING, FAILS_WITH_WORDS = 1, 2, 3, 4
CREDIT = 800  # of a day: 1 % of what is at stake, an exposure of -30 at 1,000, cash of 50,000
UNIT = 10**9  # of the quote at 1,000, in asset units
VALUE = 20_000  # at each venue: the margin of 20


@pytest.fixture(scope="module")
def hedged():
    """The second venue does what a test says."""
    with boa.env.anchor():
        world = vault_world()
        holder = world.depositor("holder")
        world.deposit(holder, 100)
        second = add_settable_venue(world)
        half = {"margin_assets": world.assets(20), "size": -world.assets(50)}
        world.rebalance(Leg(**half), Leg(**half, venue=second.address))
        yield world, second, holder


@pytest.fixture
def world(hedged):
    with boa.env.anchor():
        yield hedged[0]


@pytest.fixture
def second(hedged):
    return hedged[1]


@pytest.fixture
def holder(hedged):
    return hedged[2]


def claims(world, second, whole):
    """Let the second venue say so much more than it has."""
    second.set_faults(10_000, 10_000, world.quotes(whole), 0)


def close(world, second, whole):
    """Let the second venue close so much of the short by itself, at the index."""
    held = second.accounts(world.book.address)
    size, entry = world.assets(whole), world.value(world.assets(whole))
    after = (held.assets, held.quote, held.size + size, held.entry + entry)
    second.set_account(world.book.address, after)


def seen(world, i=1):
    return world.book.sight(i, world.price())


def value(world):
    return seen(world).value / 10**6


def events(world, name):
    return [log for log in world.book.get_logs() if type(log).__name__ == name]


def assert_closed(world, holder):
    """Nobody enters, everybody leaves."""
    late = world.depositor("late")
    assert world.vault.maxDeposit(late) == world.vault.maxMint(late) == 0
    with boa.env.anchor(), boa.reverts("vault: hedge is not sound"):
        world.deposit(late, 1)
    with boa.env.anchor():
        assert world.vault.redeem(10**21, holder, holder, sender=holder) > 0


def assert_open(world):
    with boa.env.anchor():
        assert world.deposit(world.depositor("late"), 1) > 0


def test_left__after_a_plan__exposure_and_cash(world):
    left = world.book.left(1)
    assert (left.exposure, left.cash) == (-world.assets(30), world.quotes(50_000))
    assert left.noted_at == boa.env.timestamp - DAY  # a day's credit from the start
    assert value(world) == VALUE


def test_gain__within_the_credit__counts(world, second):
    claims(world, second, CREDIT)
    assert value(world) == VALUE + CREDIT
    assert seen(world).sound
    assert_open(world)


def test_gain__over_the_credit__does_not_count_and_nobody_enters(world, second, holder):
    """G-04, A-21: entry at a capped value would take from the others' profit, so it is shut."""
    before = world.vault.totalAssets()
    claims(world, second, 10**6)
    assert value(world) == VALUE + CREDIT
    assert world.vault.totalAssets() - before == world.assets("0.8")
    assert_closed(world, holder)


def test_gain__noted_again_and_again__one_credit(world, second):
    """Whoever calls `flag` in each block lets a liar say no more."""
    claims(world, second, 10**6)
    for _ in range(3):
        world.book.flag()
    assert value(world) == VALUE + CREDIT
    world.pass_time(DAY)
    world.set_price(1_000)
    at_stake = 30_000 + 50_000 + CREDIT  # the credit spent is cash by now
    assert value(world) == pytest.approx(VALUE + CREDIT + at_stake / 100, abs=1e-6)


def test_gain__half_of_the_credit_noted__the_other_half_is_left(world, second):
    claims(world, second, CREDIT // 2)
    world.book.flag()
    claims(world, second, CREDIT)
    assert seen(world).sound
    assert value(world) == VALUE + CREDIT
    claims(world, second, CREDIT + 20)
    assert not seen(world).sound
    assert value(world) == pytest.approx(VALUE + CREDIT + 2, abs=0.1)  # half a day of 804


def test_gain__a_plan_touches_the_venue__no_more_believed_than_before(world, second):
    claims(world, second, 10**6)
    world.rebalance(Leg(margin_assets=world.assets(1), venue=second.address))
    assert value(world) == VALUE + CREDIT + 1_000
    assert not seen(world).sound


def test_gain__true_but_slow__is_believed_in_time(world, second):
    """Funding of 0.9 % of the notional a day, for a month, noted daily."""
    for day in range(1, 31):
        world.pass_time(DAY)
        world.set_price(1_000)
        claims(world, second, 450 * day)
        assert seen(world).sound
        world.book.flag()
    assert value(world) == VALUE + 30 * 450


def test_gain__nobody_noted_for_long__a_month_counts(world, second):
    world.pass_time(100 * DAY)
    world.set_price(1_000)
    claims(world, second, 10**6)
    assert value(world) == VALUE + 30 * CREDIT


def test_loss__within_the_credit__counts_and_is_sound(world, second):
    claims(world, second, -CREDIT)
    assert value(world) == VALUE - CREDIT
    assert seen(world).sound
    assert_open(world)


def test_loss__over_the_credit__counts_at_once_and_nobody_enters(world, second, holder):
    """Whoever hides what a venue is worth would buy from the others what comes back later."""
    claims(world, second, -CREDIT - 1)
    assert value(world) == VALUE - CREDIT - 1
    assert_closed(world, holder)


def test_loss__over_the_credit__flag_does_not_note_it(world, second):
    """Else entry would be open at once, and the truth come back a day's credit at a time."""
    claims(world, second, -19_000)
    before = world.book.left(1)
    world.book.flag()
    assert world.book.left(1) == before
    assert not seen(world).sound
    claims(world, second, 0)
    assert value(world) == VALUE
    assert_open(world)


def test_loss__over_the_credit__a_plan_of_the_keeper_notes_it(world, second):
    claims(world, second, -5_000)
    world.rebalance(Leg(margin_assets=world.assets(1), venue=second.address))
    assert seen(world).sound
    assert world.book.left(1).cash == world.quotes(50_000 - 5_000)
    assert_open(world)


def test_loss__of_more_than_there_is__venue_counts_at_nothing(world, second, holder):
    """A liar cannot take from the other venues and what is idle, and stops no exit."""
    before = world.vault.totalAssets()
    claims(world, second, -(10**6))
    assert value(world) == VALUE - 10**6
    assert 0 <= before - world.assets(20) - world.vault.totalAssets() <= UNIT
    assert_closed(world, holder)
    assert abs(world.drift_bps()) < 9_000  # the plans of the keeper go on


def test_loss__of_more_than_there_is__filling_it_up_is_a_cost(world, second):
    claims(world, second, -40_000)
    with boa.reverts("book: cost over its bound"):
        world.rebalance(Leg(margin_assets=world.assets(1), venue=second.address))
    claims(world, second, -20_000)  # worth nothing: now all that is added counts
    world.rebalance(Leg(margin_assets=world.assets(1), venue=second.address))


def test_nothing_there__venue_says_there_is__counts_nothing(world, holder):
    third = add_settable_venue(world)
    third.set_faults(10_000, 10_000, 10**12, 0)
    assert seen(world, 2).value == 0
    assert_closed(world, holder)


def test_position_closed_by_the_venue__hedge_is_lost(world, second, holder):
    """K-09: nobody enters, and the hedge is there again in the next plan, without a cooldown."""
    close(world, second, 10)
    assert seen(world).lost
    assert_closed(world, holder)
    world.rebalance(Leg(size=-world.assets(10)))
    lost = events(world, "HedgeLost")[0]
    assert (lost.venue, lost.exposure_before) == (second.address, -world.assets(30))
    assert (lost.assets, lost.delta) == (world.assets(20), -world.assets(40))
    assert not seen(world).lost
    assert_open(world)


def test_hedge_lost__at_a_price_on_the_way__counts_as_it_is(world, second):
    """10 of 50 short closed at 1,100 while the price went from 1,000 to 1,200."""
    world.set_price(1_100)
    close(world, second, 10)
    world.set_price(1_200)
    assert seen(world).lost
    assert value(world) == VALUE + 20 * 200 - 50 * 200 + 10 * 100


def test_hedge_lost__at_a_price_that_fell__the_gain_of_the_short_counts(world, second):
    """The last price seen is the worse one here: 3,000 more than there, on an exposure of -30."""
    world.set_price(900)
    close(world, second, 10)
    assert seen(world).lost
    assert value(world) == VALUE + 30 * 100


def test_hedge_lost__says_it_gained_by_it__no_more_than_at_the_better_price(world, second):
    close(world, second, 10)
    claims(world, second, 10**6)
    world.set_price(1_200)
    assert value(world) == pytest.approx(VALUE + (30 * 1_200 + 50_000) / 100)


def test_hedge_lost__between_the_bands__overrides_the_cooldown(world, second):
    size = world.assets(2)  # of 100: over the inner band of 1 %, under the urgent one of 5 %
    close(world, second, 2)
    with boa.env.anchor():
        world.rebalance(Leg(size=-size))
    with boa.env.anchor():
        close(world, second, -2)
        world.book.eval("ledger.set_ratio(10200)")
        with boa.reverts("book: cooldown"):
            world.rebalance(Leg(size=-size))


def test_hedge_lost__inside_the_band__flag_takes_note(world, second):
    close(world, second, "0.5")
    assert world.book.flag() == 0
    assert len(events(world, "HedgeLost")) == 1
    assert not seen(world).lost
    assert_open(world)


def test_hedge_lost__outside_the_band__flag_leaves_it_lost(world, second):
    close(world, second, 2)
    world.book.flag()
    assert len(events(world, "HedgeLost")) == 1
    assert seen(world).lost


@pytest.mark.parametrize("silence", [SILENT, BURNING, FAILS_WITH_WORDS])
def test_venue_does_not_answer__others_and_exits_go_on(world, second, holder, silence):
    """K-07: what is left there counts as exposure, and for nothing in value."""
    drift, before = world.drift_bps(), world.vault.totalAssets()
    free = world.book.free_assets(world.price()) - second.free_assets(
        world.book.address, world.price(), 0
    )
    second.set_silence(silence)
    assert world.book.free_assets(world.price()) == free
    assert not seen(world).sound
    assert value(world) == 0
    assert world.vault.totalAssets() == before - world.assets(20)
    assert_closed(world, holder)
    assert abs(world.drift_bps() - drift) < 1
    shown = world.lens.snapshots([world.vault.address])[2][0].venues
    assert [each.answers for each in shown[:2]] == [True, False]
    world.rebalance(Leg(margin_assets=world.assets(1)))
    with boa.reverts("book: venue does not answer"):
        world.rebalance(Leg(size=world.assets(1), venue=second.address))


def test_venue_does_not_answer__owes_by_the_books_own_sums__counts_at_nothing(world, second):
    second.set_silence(SILENT)
    world.set_price(2_000)
    assert value(world) == 0
    # The other venue is worth nothing either.
    assert 0 <= world.assets(60) - world.vault.totalAssets() <= UNIT


def put_first(world, venue):
    """Let a venue without an account of the book's be the one that prices flows."""
    world.book.eval(f"ledger.venue_words[0] = convert({venue.address}, uint256)")
    world.book.eval("ledger.records[0] = 0")


@pytest.fixture
def unhedged():
    """100 assets, a first venue that a test sets and a second that asks 1 % of what it hedges."""
    with boa.env.anchor():
        world = vault_world(base_charge_bps=90, hedge_ratio_bps=10_000)
        holder = world.depositor("holder")
        world.deposit(holder, 100)
        first = deployer("testing/SettableVenue.vy").deploy(
            world.asset.address, world.quote.address, world.base.oracle.address
        )
        second = add_settable_venue(world)
        put_first(world, first)
        second.set_hedge_cost(100)
        # Ten too short, so that an exit opens the gap and is charged for it.
        world.rebalance(
            Leg(margin_assets=world.assets(40), size=-world.assets(100), venue=second.address)
        )
        yield world, first, holder


def impact(world, holder):
    with boa.env.anchor():
        world.vault.redeem(10**22, holder, holder, sender=holder)
        return events_of(world.vault, "FlowPriced")[0].impact_charge


def events_of(contract, name):
    return [log for log in contract.get_logs() if type(log).__name__ == name]


def test_first_venue_does_not_answer__the_next_prices_the_flows(unhedged):
    world, first, holder = unhedged
    assert impact(world, holder) == 0  # the first asks nothing
    first.set_silence(SILENT)
    assert impact(world, holder) > 0


def test_venue_that_prices_flows_asks_for_all__takes_a_fifth_and_stops_no_exit(unhedged):
    world, first, holder = unhedged
    left = world.vault.convertToAssets(10**22) * (10_000 - 90) // 10_000
    for asked in (10_000, 10**60):
        first.set_hedge_cost(asked)
        assert impact(world, holder) == pytest.approx(left / 5, rel=0.01)
        assert world.vault.maxRedeem(holder) > 0
    number = world.request(holder, 10**22)
    world.become_due()
    assert world.queue.process(1) == 1
    assert world.queue.request_of(number).shares == 0


def test_venue_that_prices_flows_does_not_quote__exits_without_impact_and_no_entry(unhedged):
    world, first, holder = unhedged
    first.set_silence(QUOTES_NOTHING)
    assert seen(world, 0).sound
    assert impact(world, holder) == 0
    assert world.vault.maxDeposit(holder) == 0
    with boa.reverts("vault: venue does not quote"):
        world.deposit(world.depositor("late"), 1)
    number = world.request(holder, 10**22)
    world.become_due()
    assert world.queue.process(1) == 1  # nobody moves a premium that is not there
    assert world.queue.request_of(number).shares == 0
    shown = world.lens.snapshots([world.vault.address])[2][0].venues
    assert [each.answers for each in shown[:2]] == [False, True]


def test_margin__more_than_any_market_has__is_no_answer(world, second):
    for held in ((2**112, 0, 0, 0), (0, -(2**112) - 1, 0, 0), (0, 0, -(2**255), 0)):
        second.set_account(world.book.address, held)
        assert not seen(world).answers
        assert value(world) == 0
    second.set_account(world.book.address, (2**111 - 1, 0, 0, 0))
    assert seen(world).lost


TELLER = """
said: int256[7]

@external
def say(words: int256[7]):
    self.said = words

@external
@view
def margin(account: address, price_wad: uint256) -> int256[7]:
    return self.said
"""
ASSETS, QUOTE, DELTA, PROFIT, EQUITY, INITIAL, MAINTENANCE = range(7)


@pytest.mark.parametrize(
    ("word", "said", "answers"),
    [
        (ASSETS, 2**111 - 1, True),
        (ASSETS, 2**255 - 1, False),
        (QUOTE, 2**255 - 1, False),
        (QUOTE, -(2**255), False),
        (DELTA, -(2**255), False),
        (PROFIT, 2**255 - 1, False),
        (EQUITY, 2**112 - 1, True),
        (EQUITY, 2**112, False),
        (EQUITY, -(2**112), True),
        (EQUITY, -(2**112) - 1, False),
        (INITIAL, 2**112 - 1, True),
        (INITIAL, 2**112, False),
        (MAINTENANCE, 2**112 - 1, True),
        (MAINTENANCE, 2**112, False),
    ],
)
def test_margin__a_single_word_over_its_bound__is_no_answer(world, word, said, answers):
    teller = boa.loads(TELLER)
    world.book.add_venue(teller.address, 100)
    teller.say([said if n == word else 0 for n in range(7)])
    assert seen(world, 2).answers == answers


@pytest.mark.parametrize("held", [(2**111, 0, 0, 0), (0, 2**103, 0, 0), (0, -(2**103), 0, 0)])
def test_margin__more_than_can_be_noted__stops_neither_flag_nor_plans(world, second, held):
    """Otherwise a liar would let every plan fail that has to note a lost hedge, and `flag`."""
    second.set_account(world.book.address, held)
    assert not seen(world).answers
    world.book.flag()
    world.rebalance(Leg(margin_assets=world.assets(1)))


def test_exit__free_margin_at_a_silent_venue__passed_over(world, second, holder):
    second.set_silence(BURNING)
    price = world.price()
    assert world.book.free_assets(price) == world.venue.free_assets(
        world.book.address, price, world.limits["margin_target_bps"]
    )
    assert world.vault.maxRedeem(holder) > 0
    most = world.vault.maxRedeem(holder)
    assert world.vault.redeem(most, holder, holder, sender=holder) > world.assets(60)
