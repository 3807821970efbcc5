# SPDX-License-Identifier: MIT
# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title The rules of a rebalance, applied to what was before and what came of it
@notice Holds nothing and knows no vault: a book brings its limits, its buckets and what it saw,
     and gets a refusal or an answer. One serves any number of books.
@dev The keeper may propose anything; what counts is the result. With price S, ratio h, E equity
     and D delta in asset units, gap = D - (1 - h) * E and drift = gap / E:

       1  (the book) the nonce is the next one, the deadline not passed, the price good
       2  a plan that trades ends inside the inner band or gains a minimum step; the drift may
          change sign by the overshoot only; inside the band nothing trades, unless margin is
          under its target, and then only to shrink positions.
          A margin rescue (a touched venue was under the floor) may leave drift up to the urgent
          band. E at or under the minimum: |D| must shrink.
       3  each touched venue ends at the margin target or better than before, and within its
          allotment of NAV or lower than before
       4  cost = NAV before - after <= bound * |sizes + spot| * S, and cost and gross turnover
          fit into leaky buckets: capacity half a day's budget, which leaks in a day; a share is
          kept for urgent plans
       5  each fill within the slippage bound of S (the book) and under the size cap
       6  the cooldown is over, unless drift was over the urgent band, a venue under the floor or
          part of a hedge lost

     While the book unwinds, sizes only shrink positions. A plan that somebody sends in the
     keeper's place trades, or adds margin where it is under the floor; its reward is in its cost.

     A plan is *neutral* if sizes and spot cancel to within 1 bp of what they trade: a move of
     the hedge between venues, or settlement of quote profit or debt against spot. Only then may
     sizes differ in sign and may it trade inside the band; drift stays where it was, turnover has
     a bucket of its own, and the cost bound is on the gross. A move leaves no more open than
     before, to its net: a long here against a short there would pay funding twice, for nothing.
     No venue is traded twice in a plan.
     A plan that only moves margin passes 2 and 6.

     Buckets are kept as shares of NAV, so that a day's budget follows NAV:
     cost 72 | turnover 72 | neutral turnover 72 bits, WAD | Unix seconds 40.
@custom:units As IHedgeBook. Asset and quote amounts of a plan under 2**112.
@custom:rounding Against the plan: drift, cost and turnover up, bounds down.
@custom:halt It has no switch and no owner.
"""

from interfaces import IHedgeBook
from interfaces import IHedgeGuard
from interfaces import IHedgeVenue
from modules import fixed_point
from modules import limits as limit_rules
from modules import packed

implements: IHedgeGuard


struct Terms:  # what a plan is and which rules that brings
    sizes: int256[MAX_VENUES]
    margin_assets: int256[MAX_VENUES]
    touched: bool[MAX_VENUES]
    net: int256  # sum of sizes and spot
    gross: uint256
    trades: bool
    neutral: bool
    moves: bool  # sizes of both signs
    adds_only: bool  # margin goes in and nothing trades
    shrinks: bool  # each size takes a position towards zero
    shrinks_only: bool  # the same, no margin comes out, no spot
    reduces: bool  # each size takes a position towards zero, no spot
    healthy: bool  # every venue with a position is at the margin target
    rescue: bool  # a touched venue is under the floor
    urgent: bool
    slippage_bps: uint256


BPS: constant(uint256) = 10_000
WAD: constant(uint256) = 10**18
BP_WAD: constant(uint256) = 10**14
DAY: constant(uint256) = 86_400  # seconds

MAX_LEGS: constant(uint256) = 8
MAX_VENUES: constant(uint256) = 4
NEUTRAL_SHARE: constant(uint256) = 10_000  # net at most gross / this
NEUTRAL_TOLERANCE: constant(int256) = 10_000  # E / this; for h != 1 cost moves the target
DUST: constant(int256) = 16  # quote units; a venue rounds each touch against the account
USED_BITS: constant(uint256) = 72  # shares of NAV up to 4,722
TURNOVER_AT: constant(uint256) = 72
NEUTRAL_AT: constant(uint256) = 144
LEAKED_AT: constant(uint256) = 216


@external
@pure
def checked_limits(limits: IHedgeBook.Limits) -> (uint256, uint256):
    """
    @notice Refuse limits that make no sense, each with its own reason.
    @return Words `bands` and `sizes` of modules/limits.vy.
    """
    limit_rules.check(limits)
    return limit_rules.bands_word(limits), limit_rules.sizes_word(limits)


@external
@view
def judge(
    plan: IHedgeBook.Plan,
    before: IHedgeGuard.Position,
    after: IHedgeGuard.Position,
    outcome: IHedgeGuard.Outcome,
    limits: IHedgeBook.Limits,
) -> IHedgeGuard.Verdict:
    """
    @notice Refuse a plan that is malformed or came too early, and a result outside the limits.
    @dev One call after the fact, since a refusal undoes everything and a call costs 10 k gas.
         Helpers take numbers where they can: a struct is copied for each call.
    """
    terms: Terms = self._classified(plan, before, outcome, limits)
    if block.timestamp < outcome.paused_until:
        assert terms.adds_only or terms.shrinks_only, "book: rebalancing is paused"
    for i: uint256 in range(outcome.venue_count, bound=MAX_VENUES):
        if terms.touched[i]:
            # A venue did what it was told, no more and no less.
            delta: int256 = before.margins[i].delta + terms.sizes[i]
            assert after.margins[i].delta == delta, "book: size not filled"
            assets: int256 = convert(before.margins[i].assets, int256) + terms.margin_assets[i]
            assert convert(after.margins[i].assets, int256) == assets, "book: margin not moved"
            self._check_margin(before.margins[i], after.margins[i], limits.margin_target_bps)
            most: int256 = after.nav * convert(outcome.allotments_bps[i], int256)
            within: bool = after.values[i] * convert(BPS, int256) <= most
            assert within or after.values[i] < before.values[i], "book: over the allotment"
    assert terms.shrinks or not outcome.unwinds, "book: unwinding only shrinks"
    cost: int256 = before.nav - after.nav
    verdict: IHedgeGuard.Verdict = IHedgeGuard.Verdict(
        plan_hash=keccak256(abi_encode(plan)),
        traded=terms.trades,
        turnover=0,
        buckets=outcome.buckets,
    )
    if not terms.trades:
        assert terms.rescue or not outcome.open_to_all, "book: margin over its floor"
        assert cost <= DUST + convert(outcome.reward, int256), "book: cost over its bound"
        if outcome.reward != 0:
            verdict.buckets = self._filled(terms, cost, 0, before, outcome.buckets, limits)
        return verdict
    if not terms.urgent:
        ready_at: uint256 = outcome.rebalanced_at + limits.cooldown_secs
        assert block.timestamp >= ready_at, "book: cooldown"
    if not terms.neutral and before.drift_wad <= limits.inner_band_bps * BP_WAD:
        assert terms.reduces and not terms.healthy, "book: drift inside the band"
    for n: uint256 in range(len(plan.legs), bound=MAX_LEGS):
        self._check_fill(
            plan.legs[n].size,
            outcome.costs[n],
            before.price_wad,
            before.price_divisor,
            terms.slippage_bps,
        )
    self._check_fill(
        plan.spot_assets, -outcome.spot_quote,
        before.price_wad,
        before.price_divisor,
        terms.slippage_bps,
    )
    bounded: uint256 = terms.gross if terms.neutral else fixed_point.magnitude(terms.net)
    bounded = fixed_point.mul_div_down(bounded, before.price_wad, before.price_divisor)
    bounded = fixed_point.mul_div_down(bounded, limits.cost_bound_bps, BPS)
    assert cost <= convert(bounded, int256) + DUST, "book: cost over its bound"
    self._check_drift(terms, before, after, limits)
    if terms.moves:
        most_open: uint256 = self._open_size(before.margins) + fixed_point.magnitude(terms.net)
        assert self._open_size(after.margins) <= most_open, "book: positions grow in a move"
    verdict.turnover = self._value_up(terms.gross, before.price_wad, before.price_divisor)
    verdict.buckets = self._filled(terms, cost, verdict.turnover, before, outcome.buckets, limits)
    return verdict


# ---------------------------------------------------------------------------------------------
# What a plan is
# ---------------------------------------------------------------------------------------------


@internal
@pure
def _classified(
    plan: IHedgeBook.Plan,
    before: IHedgeGuard.Position,
    outcome: IHedgeGuard.Outcome,
    limits: IHedgeBook.Limits,
) -> Terms:
    """
    @dev From the plan itself, from where the positions stood, and from their margin.
    """
    assert len(plan.legs) != 0 or plan.spot_assets != 0, "book: plan is empty"
    terms: Terms = empty(Terms)
    terms.adds_only = True
    terms.shrinks = True
    terms.net = plan.spot_assets
    terms.gross = self._within(plan.spot_assets, limits.max_trade)
    longs: bool = False
    shorts: bool = False
    for n: uint256 in range(len(plan.legs), bound=MAX_LEGS):
        leg: IHedgeBook.Leg = plan.legs[n]
        i: uint256 = outcome.venue_index[n]
        assert leg.instrument == 0, "book: unknown instrument"
        terms.touched[i] = True
        terms.margin_assets[i] += leg.margin_assets
        if leg.margin_assets < 0 or leg.margin_quote < 0:
            terms.adds_only = False
        if leg.size != 0:
            assert terms.sizes[i] == 0, "book: venue traded twice"
            terms.sizes[i] = leg.size
            terms.net += leg.size
            terms.gross += self._within(leg.size, limits.max_trade)
            longs = longs or leg.size > 0
            shorts = shorts or leg.size < 0
            if not self._shrinks(before.margins[i].delta, leg.size):
                terms.shrinks = False
        elif leg.margin_assets == 0 and leg.margin_quote == 0:
            raise "book: leg is empty"
    terms.trades = terms.gross != 0
    terms.reduces = terms.shrinks and plan.spot_assets == 0
    terms.shrinks_only = terms.adds_only and terms.reduces
    terms.adds_only = terms.adds_only and not terms.trades
    terms.neutral = (
        terms.trades and fixed_point.magnitude(terms.net) * NEUTRAL_SHARE <= terms.gross
    )
    terms.moves = longs and shorts
    assert terms.neutral or not terms.moves, "book: sizes differ in sign"
    terms.healthy = True
    terms.urgent = outcome.lost or before.drift_wad > limits.urgent_band_bps * BP_WAD
    for i: uint256 in range(outcome.venue_count, bound=MAX_VENUES):
        equity: int256 = before.margins[i].equity
        maintenance: uint256 = before.margins[i].maintenance
        if not self._at_margin(equity, maintenance, limits.margin_target_bps):
            terms.healthy = False
            if not self._at_margin(equity, maintenance, limits.margin_floor_bps):
                terms.urgent = True
                terms.rescue = terms.rescue or terms.touched[i]
    terms.slippage_bps = limits.slippage_bps
    if terms.urgent:
        terms.slippage_bps = limits.urgent_slippage_bps
    return terms


@internal
@pure
def _within(size: int256, max_trade: uint256) -> uint256:
    """
    @dev |size|, which the cap keeps under 2**112.
    """
    magnitude: uint256 = fixed_point.magnitude(size)
    assert magnitude <= max_trade, "book: trade too large"
    return magnitude


@internal
@pure
def _shrinks(delta: int256, size: int256) -> bool:
    """
    @dev Whether `size` takes a position towards zero and not beyond.
    """
    return (delta > 0) != (size > 0) and abs(size) <= abs(delta)


@internal
@pure
def _at_margin(equity: int256, maintenance: uint256, ratio_bps: uint256) -> bool:
    """
    @dev equity / maintenance >= ratio; always so without a position.
    """
    if maintenance == 0:
        return True
    return equity * convert(BPS, int256) >= convert(maintenance * ratio_bps, int256)


# ---------------------------------------------------------------------------------------------
# What came of it
# ---------------------------------------------------------------------------------------------


@internal
@pure
def _check_fill(
    size: int256, cost: int256, price_wad: uint256, price_divisor: uint256, slippage_bps: uint256
):
    """
    @dev Rule 5: cost - size * S <= slippage * |size| * S. A purchase of spot is a fill at what
         was paid.
    """
    if size == 0:
        return
    at_index: int256 = fixed_point.div_floor(
        size * convert(price_wad, int256), convert(price_divisor, int256)
    )
    allowed: uint256 = fixed_point.mul_div_down(fixed_point.magnitude(at_index), slippage_bps, BPS)
    assert cost - at_index <= convert(allowed, int256), "book: slippage"


@internal
@pure
def _check_margin(was: IHedgeVenue.Margin, now: IHedgeVenue.Margin, target_bps: uint256):
    """
    @dev Rule 3: at the target or better than before. Ratios are compared by
         cross-multiplication.
    """
    if not self._at_margin(now.equity, now.maintenance, target_bps):
        better: bool = was.maintenance != 0 and (
            now.equity * convert(was.maintenance, int256)
            > was.equity * convert(now.maintenance, int256)
        )
        assert better, "book: margin under target"


@internal
@pure
def _check_drift(
    terms: Terms,
    before: IHedgeGuard.Position,
    after: IHedgeGuard.Position,
    limits: IHedgeBook.Limits,
):
    """
    @dev Rule 2. Drift is rounded up, before and after: a step is exact to 1e-18.
    """
    if before.equity <= convert(limits.min_equity, int256):
        assert abs(after.delta) < abs(before.delta), "book: delta not reduced"
        return
    assert after.equity > 0, "book: equity not positive"
    if terms.rescue and after.drift_wad <= limits.urgent_band_bps * BP_WAD:
        return
    inside: bool = after.drift_wad <= limits.inner_band_bps * BP_WAD
    if terms.neutral:
        # Its cost lowers E and so raises the drift: the gap says whether it moved.
        most: int256 = (
            abs(before.gap)
            + abs(terms.net)
            + fixed_point.div_floor(before.equity, NEUTRAL_TOLERANCE)
        )
        assert inside or abs(after.gap) <= most, "book: drift moved"
        return
    gained: bool = after.drift_wad + limits.min_step_bps * BP_WAD <= before.drift_wad
    assert inside or gained, "book: drift not reduced"
    if (before.gap > 0 and after.gap < 0) or (before.gap < 0 and after.gap > 0):
        assert after.drift_wad <= limits.overshoot_bps * BP_WAD, "book: drift overshoots"


@internal
@pure
def _open_size(margins: IHedgeVenue.Margin[MAX_VENUES]) -> uint256:
    """
    @dev Sum of |delta| over the venues.
    """
    total: uint256 = 0
    for margin: IHedgeVenue.Margin in margins:
        total += fixed_point.magnitude(margin.delta)
    return total


# ---------------------------------------------------------------------------------------------
# Buckets
# ---------------------------------------------------------------------------------------------


@internal
@view
def _filled(
    terms: Terms,
    cost: int256,
    turnover: uint256,
    before: IHedgeGuard.Position,
    buckets: uint256,
    limits: IHedgeBook.Limits,
) -> uint256:
    """
    @dev Rule 4, the budgets.
    """
    nav: uint256 = self._budget_nav(
        before.nav, before.price_wad, before.price_divisor, limits.min_equity
    )
    share_bps: uint256 = BPS
    if not terms.urgent:
        share_bps -= limits.urgent_reserve_bps
    word: uint256 = self._leaked(buckets, limits)
    lost: uint256 = fixed_point.positive_part(cost)
    used: uint256 = packed.part(word, 0, USED_BITS) + fixed_point.mul_div_up(lost, WAD, nav)
    most: uint256 = self._capacity(limits.cost_budget_bps) * share_bps
    assert used * BPS <= most, "book: cost over its budget"
    word = packed.replace(word, used, 0, USED_BITS)
    offset: uint256 = TURNOVER_AT
    if terms.neutral:
        offset = NEUTRAL_AT
    used = packed.part(word, offset, USED_BITS) + fixed_point.mul_div_up(turnover, WAD, nav)
    most = self._capacity(limits.turnover_budget_bps) * share_bps
    assert used * BPS <= most, "book: turnover over budget"
    return packed.replace(word, used, offset, USED_BITS)


@external
@view
def leaked(buckets: uint256, limits: IHedgeBook.Limits) -> uint256:
    """
    @notice The bucket word as of this second.
    """
    return self._leaked(buckets, limits)


@external
@view
def used(
    buckets: uint256,
    nav: int256,
    price_wad: uint256,
    price_divisor: uint256,
    limits: IHedgeBook.Limits,
) -> (uint256, uint256, uint256):
    """
    @notice What is in the buckets now: cost, turnover, neutral turnover, quote, rounded up.
    """
    word: uint256 = self._leaked(buckets, limits)
    base: uint256 = self._budget_nav(nav, price_wad, price_divisor, limits.min_equity)
    return (
        fixed_point.mul_div_up(packed.part(word, 0, USED_BITS), base, WAD),
        fixed_point.mul_div_up(packed.part(word, TURNOVER_AT, USED_BITS), base, WAD),
        fixed_point.mul_div_up(packed.part(word, NEUTRAL_AT, USED_BITS), base, WAD),
    )


@internal
@view
def _leaked(buckets: uint256, limits: IHedgeBook.Limits) -> uint256:
    elapsed: uint256 = block.timestamp - packed.part(buckets, LEAKED_AT, 40)
    turnover_bps: uint256 = limits.turnover_budget_bps
    return (
        self._leak(buckets, 0, limits.cost_budget_bps, elapsed)
        | self._leak(buckets, TURNOVER_AT, turnover_bps, elapsed)
        | self._leak(buckets, NEUTRAL_AT, turnover_bps, elapsed)
        | packed.place(block.timestamp, LEAKED_AT, 40)
    )


@internal
@pure
def _leak(buckets: uint256, offset: uint256, budget_bps: uint256, elapsed: uint256) -> uint256:
    used: uint256 = packed.part(buckets, offset, USED_BITS)
    leak: uint256 = fixed_point.mul_div_down(self._capacity(budget_bps), elapsed, DAY)
    return packed.place(used - min(used, leak), offset, USED_BITS)


@internal
@pure
def _capacity(budget_bps: uint256) -> uint256:
    """
    @dev Half a day's budget as a share of NAV, WAD. It leaks away in a day, so that no 24 hours
         see more than the budget.
    """
    return fixed_point.mul_div_down(budget_bps, WAD, 2 * BPS)


@internal
@pure
def _budget_nav(
    nav: int256, price_wad: uint256, price_divisor: uint256, min_equity: uint256
) -> uint256:
    """
    @dev Budgets are shares of this: NAV, not under the minimum equity, so that a broken vault
         can still be wound down.
    """
    least: uint256 = max(self._value_up(min_equity, price_wad, price_divisor), 1)
    return max(fixed_point.positive_part(nav), least)


@internal
@pure
def _value_up(assets: uint256, price_wad: uint256, price_divisor: uint256) -> uint256:
    return fixed_point.mul_div_up(assets, price_wad, price_divisor)


@external
@pure
def plan_hash(plan: IHedgeBook.Plan) -> bytes32:
    """
    @notice What a record says of its plan.
    """
    return keccak256(abi_encode(plan))
