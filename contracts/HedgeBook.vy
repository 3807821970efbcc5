# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
"""
@title One vault's positions, their value, the target, and what plans and exits do with them
@notice Holds the vault's quote and its accounts at the venues; idle assets are in the vault.
     Sends funds only to the vault, to registered venues and to the spot market.
@dev The keeper may propose any plan. HedgeGuard, which holds nothing, says what kind of plan it
     is and whether the result stands; the rules are written there. What needs the chain is
     checked here: nonce, deadline, a good price, each fill against the index, and that tokens
     said to have arrived did.

     With price S, ratio h, E equity and D delta in asset units,
     gap = D - (1 - h) * E and drift = |gap| / E.

     Lock: every priced call of the vault enters a locked call here and every valuation here
     a locked view of the vault, so whoever is called in the middle of one finds both shut. The
     views marked reentrant read what no call in progress leaves half done.
@custom:units Asset amounts and sizes in raw asset units under 2**112, quote amounts in raw quote
     units (idle quote under 2**96), prices WAD between 1e6 and 1e30. Long positive.
@custom:rounding Value and E down, drift up, bounds on fills down.
@custom:halt The guardian pauses rebalancing (modules/pause.vy); plans that only add margin or
     only shrink positions still pass, and so do exits, which the vault runs through here. Without
     a good price nothing moves. The owner replaces the keeper.
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from snekmate.auth import ownable
from snekmate.auth import ownable_2step

from interfaces import IBookFlows
from interfaces import IHedgeBook
from interfaces import IHedgeGuard
from interfaces import IHedgeVault
from interfaces import IHedgeVenue
from interfaces import IPriceOracle
from interfaces import ISpotMarket
from modules import fixed_point
from modules import limits as limit_words
from modules import packed
from modules import pause

implements: IHedgeBook
implements: IBookFlows

initializes: ownable
initializes: ownable_2step[ownable := ownable]

exports: (
    ownable_2step.owner,
    ownable_2step.pending_owner,
    ownable_2step.transfer_ownership,
    ownable_2step.accept_ownership,
)

BPS: constant(uint256) = 10_000
WAD: constant(uint256) = 10**18
DAY: constant(uint256) = 86_400  # seconds
MAX_AMOUNT: constant(int256) = 2**112  # asset or quote units; times a price under 2**212
MAX_PRICE_WAD: constant(uint256) = 10**30  # the oracle serves no more

MAX_VENUES: constant(uint256) = 4
MAX_LEGS: constant(uint256) = 8
MAX_HEDGE_RATIO_BPS: constant(uint256) = 12_000  # minimum variance ratios stay near 1
RATIO_STEP_BPS: constant(uint256) = 2_500  # the ratio moves so much in a day

ASSET: immutable(IERC20)
QUOTE: immutable(IERC20)
ORACLE: immutable(IPriceOracle)
SPOT: immutable(ISpotMarket)
GUARD: immutable(IHedgeGuard)
PRICE_DIVISOR: immutable(uint256)

_guardian: uint256  # address 160 | next pause not before 40
_purse: uint256  # vault 160 | idle quote 96
_clock: uint256  # keeper 160 | nonce 32 | rebalanced at 32 | paused until 32

_venue_words: uint256[MAX_VENUES]  # address 160 | allotment bps 16
# hedge ratio 16 | least 16 | most 16 | set at 40 | gap share 16 | venues 8 | gap floor 128
_target: uint256
_bands: uint256  # modules/limits.vy
_sizes: uint256
_buckets: uint256  # HedgeGuard.vy
_last_price: uint256  # price 192 | at 64
_audit_head: bytes32


@deploy
def __init__(
    asset: address,
    quote: address,
    oracle: address,
    spot: address,
    guard: address,
    keeper: address,
    guardian: address,
    hedge_ratio_bps: uint256,
    min_hedge_ratio_bps: uint256,
    max_hedge_ratio_bps: uint256,
    limits: IHedgeBook.Limits,
):
    """
    @param hedge_ratio_bps Share of the price risk to remove, between the two bounds.
    """
    assert asset != empty(address), "book: asset is zero"
    assert quote != empty(address), "book: quote is zero"
    assert asset != quote, "book: asset is quote"
    assert oracle != empty(address), "book: oracle is zero"
    assert spot != empty(address), "book: spot is zero"
    assert guard != empty(address), "book: guard is zero"
    ASSET = IERC20(asset)
    QUOTE = IERC20(quote)
    ORACLE = IPriceOracle(oracle)
    SPOT = ISpotMarket(spot)
    GUARD = IHedgeGuard(guard)
    asset_decimals: uint256 = self._decimals(asset)
    PRICE_DIVISOR = 10**(18 + asset_decimals - self._decimals(quote))
    ownable.__init__()
    ownable_2step.__init__()
    self._set_keeper(keeper)
    self._set_guardian(guardian)
    self._set_limits(limits)
    self._set_ratio_bounds(min_hedge_ratio_bps, max_hedge_ratio_bps)
    self._set_ratio(hedge_ratio_bps)


# ---------------------------------------------------------------------------------------------
# The keeper's
# ---------------------------------------------------------------------------------------------


@external
def rebalance(plan: IHedgeBook.Plan):
    """
    @notice Carry out a plan, if its result is within the limits.
    @dev Keeper only. See the file's @dev for the rules.
    """
    clock: uint256 = self._clock
    assert msg.sender == self._address_in(clock), "book: caller is not the keeper"
    assert plan.nonce == packed.part(clock, 160, 32), "book: wrong nonce"
    assert block.timestamp <= plan.deadline, "book: deadline passed"
    clock += 1 << 160
    self._clock = clock
    price: IPriceOracle.Price = staticcall ORACLE.read()
    self._store_price(price.price_wad)
    venues: address[MAX_VENUES] = empty(address[MAX_VENUES])
    outcome: IHedgeGuard.Outcome = empty(IHedgeGuard.Outcome)
    venues, outcome = self._prepared(plan, clock)
    before: IHedgeGuard.Position = self._position(venues, price.price_wad)

    outcome = self._execute(plan, before, outcome)

    after: IHedgeGuard.Position = self._position(venues, price.price_wad)
    verdict: IHedgeGuard.Verdict = staticcall GUARD.judge(
        plan, before, after, outcome, self._limits()
    )
    if verdict.traded:
        self._clock = packed.replace(clock, block.timestamp, 192, 32)
        self._buckets = verdict.buckets
    self._record(plan.nonce, plan.decision_id, verdict, before, after, price.round_id)


# ---------------------------------------------------------------------------------------------
# The vault's
# ---------------------------------------------------------------------------------------------


@external
def open_flow() -> IBookFlows.Flow:
    """
    @notice The book's side of the valuation now; the price is stored as the last good one.
    """
    self._only_vault()
    price: IPriceOracle.Price = staticcall ORACLE.read()
    self._store_price(price.price_wad)
    return self._flow(True, price.price_wad)


@external
def free_margin(assets: uint256, price_wad: uint256) -> uint256:
    """
    @notice Take asset margin out of the venues, in their order, down to the margin target.
    @dev A venue that refuses is passed over: the others and what is idle are still there.
    @return What was sent to the vault, at most `assets`.
    """
    self._only_vault()
    freed: uint256 = 0
    for i: uint256 in range(self._venue_count(), bound=MAX_VENUES):
        venue: IHedgeVenue = self._venue(i)
        free: uint256 = min(self._free_assets(venue, price_wad), assets - freed)
        if free != 0 and self._withdrawn(venue, free):
            freed += free
            margin: IHedgeVenue.Margin = staticcall venue.margin(self, price_wad)
            self._log_margin(
                empty(bytes32), venue.address, -convert(free, int256), 0, margin.assets
            )
    return freed


# ---------------------------------------------------------------------------------------------
# Owner and guardian
# ---------------------------------------------------------------------------------------------


@external
def set_vault(vault: address):
    """
    @notice Tell the book its vault, once. Owner only.
    """
    ownable._check_owner()
    assert self._vault().address == empty(address), "book: vault is set"
    assert vault != empty(address), "book: vault is zero"
    assert staticcall IHedgeVault(vault).book() == self, "book: vault of another book"
    self._purse = convert(vault, uint256)
    self._check_base_charge(self._hedge_ratio_bps())
    log IHedgeBook.VaultSet(vault=vault)


@external
def add_venue(venue: address, allotment_bps: uint256):
    """
    @notice Register a venue; the first one prices the charges on flows. Owner only.
    @param allotment_bps Share of NAV that may be there after a plan.
    """
    ownable._check_owner()
    assert venue != empty(address), "book: venue is zero"
    assert venue not in [
        self, self._vault().address, SPOT.address, ASSET.address, QUOTE.address
    ], "book: not a venue"
    assert allotment_bps <= BPS, "book: allotment over 100 %"
    count: uint256 = self._venue_count()
    assert count < MAX_VENUES, "book: too many venues"
    assert self._index_of(venue) == MAX_VENUES, "book: venue is registered"
    self._venue_words[count] = self._venue_word(venue, allotment_bps)
    self._target = packed.replace(self._target, count + 1, 104, 8)
    log IHedgeBook.VenueAdded(venue=venue, allotment_bps=allotment_bps)


@external
def set_allotment(venue: address, allotment_bps: uint256):
    """
    @notice Change how much of NAV may be at a venue; zero lets it only shrink. Owner only.
    """
    ownable._check_owner()
    assert allotment_bps <= BPS, "book: allotment over 100 %"
    i: uint256 = self._known_index_of(venue)
    allotment_before_bps: uint256 = packed.part(self._venue_words[i], 160, 16)
    self._venue_words[i] = self._venue_word(venue, allotment_bps)
    log IHedgeBook.AllotmentSet(
        venue=venue,
        allotment_before_bps=allotment_before_bps,
        allotment_after_bps=allotment_bps,
    )


@external
def set_limits(limits: IHedgeBook.Limits):
    """
    @notice Replace all limits. Owner only.
    @dev What is in the buckets leaks at the old rates until now.
    """
    ownable._check_owner()
    self._buckets = staticcall GUARD.leaked(self._buckets, self._limits())
    self._set_limits(limits)


@external
def set_hedge_ratio_bounds(min_bps: uint256, max_bps: uint256):
    """
    @notice Set where the hedge ratio may be; it must be there now. Owner only.
    """
    ownable._check_owner()
    self._set_ratio_bounds(min_bps, max_bps)
    self._check_ratio(self._hedge_ratio_bps())


@external
def set_hedge_ratio(ratio_bps: uint256):
    """
    @notice Set the share of the price risk that is hedged. Owner only.
    @dev Moves by at most RATIO_STEP_BPS in a day, in proportion to the time since the last
         change, and only while the vault's base charge covers it.
    """
    ownable._check_owner()
    elapsed: uint256 = min(block.timestamp - packed.part(self._target, 48, 40), DAY)
    allowed: uint256 = fixed_point.mul_div_down(RATIO_STEP_BPS, elapsed, DAY)
    ratio_before_bps: uint256 = self._hedge_ratio_bps()
    step: uint256 = max(ratio_before_bps, ratio_bps) - min(ratio_before_bps, ratio_bps)
    assert step <= allowed, "book: ratio changed too fast"
    self._check_base_charge(ratio_bps)
    self._set_ratio(ratio_bps)


@external
def set_keeper(keeper: address):
    """
    @notice Replace the keeper. Owner only.
    """
    ownable._check_owner()
    self._set_keeper(keeper)


@external
def set_guardian(guardian: address):
    """
    @notice Replace the guardian, who pauses the vault's entry as well. Owner only.
    """
    ownable._check_owner()
    self._set_guardian(guardian)


@external
def pause_rebalancing(duration_secs: uint256):
    """
    @notice Let only top-ups and reductions through, for at most 72 hours. Guardian only.
    """
    word: uint256 = self._guardian
    assert msg.sender == self._address_in(word), "book: caller is not guardian"
    paused_until: uint256 = pause.until(duration_secs, packed.part(word, 160, 40))
    self._guardian = packed.replace(word, pause.ready_at(paused_until), 160, 40)
    self._set_pause(paused_until)


@external
def lift_rebalancing_pause():
    """
    @notice End a pause of rebalancing. Guardian or owner. The rest before the next one stays.
    """
    if msg.sender != self._address_in(self._guardian):
        ownable._check_owner()
    self._set_pause(0)


# ---------------------------------------------------------------------------------------------
# Views
# ---------------------------------------------------------------------------------------------


@external
@view
def valuation() -> IHedgeBook.Valuation:
    """
    @notice Everything the vault owns outside itself, at the oracle's price now.
    """
    price: IPriceOracle.Price = staticcall ORACLE.read()
    flow: IBookFlows.Flow = self._flow(True, price.price_wad)
    return IHedgeBook.Valuation(
        price_wad=price.price_wad,
        round_id=price.round_id,
        assets=flow.assets,
        quote_value=flow.quote_value,
        delta=flow.delta,
    )


@external
@view
def flow() -> IBookFlows.Flow:
    """
    @notice The same for a reader, at the last good price when there is none now.
    """
    ok: bool = False
    price_wad: uint256 = 0
    ok, price_wad = self._price_for_reading()
    return self._flow(ok, price_wad)


@external
@view
def free_assets(price_wad: uint256) -> uint256:
    """
    @notice Asset margin that exits may take now, rounded down.
    """
    free: uint256 = 0
    for i: uint256 in range(self._venue_count(), bound=MAX_VENUES):
        free += self._free_assets(self._venue(i), price_wad)
    return free


@external
@view
def state() -> IHedgeBook.State:
    """
    @notice Numbers that plans move. Buckets are leaked to this second and in quote at the
        price now, or at the last good one.
    """
    price_wad: uint256 = self._price_for_reading()[1]
    nav: int256 = 0
    if price_wad != 0 and self._vault().address != empty(address):
        nav = self._nav(price_wad)
    cost_used: uint256 = 0
    turnover_used: uint256 = 0
    neutral_turnover_used: uint256 = 0
    cost_used, turnover_used, neutral_turnover_used = staticcall GUARD.used(
        self._buckets, nav, price_wad, PRICE_DIVISOR, self._limits()
    )
    clock: uint256 = self._clock
    target: uint256 = self._target
    return IHedgeBook.State(
        nonce=packed.part(clock, 160, 32),
        audit_head=self._audit_head,
        hedge_ratio_bps=packed.part(target, 0, 16),
        min_hedge_ratio_bps=packed.part(target, 16, 16),
        max_hedge_ratio_bps=packed.part(target, 32, 16),
        hedge_ratio_set_at=packed.part(target, 48, 40),
        idle_quote=self._idle_quote(),
        cost_used=cost_used,
        turnover_used=turnover_used,
        neutral_turnover_used=neutral_turnover_used,
        rebalanced_at=packed.part(clock, 192, 32),
        paused_until=packed.part(clock, 224, 32),
        last_price_wad=packed.part(self._last_price, 0, 192),
        last_price_at=packed.part(self._last_price, 192, 64),
    )


@external
@view
def limits() -> IHedgeBook.Limits:
    return self._limits()


@external
@view
def hedge_ratio_bps() -> uint256:
    return self._hedge_ratio_bps()


@external
@view
def venue_count() -> uint256:
    return self._venue_count()


@external
@view
def venues(i: uint256) -> address:
    """
    @notice The i-th venue; zero beyond the last.
    """
    return self._venue(i).address


@external
@view
def allotment_bps(venue: address) -> uint256:
    return packed.part(self._venue_words[self._known_index_of(venue)], 160, 16)


@external
@view
def plan_hash(plan: IHedgeBook.Plan) -> bytes32:
    """
    @notice What a record says of its plan.
    """
    return staticcall GUARD.plan_hash(plan)


@external
@view
def vault() -> address:
    return self._vault().address


@external
@view
def keeper() -> address:
    return self._address_in(self._clock)


@external
@view
def guardian() -> address:
    return self._address_in(self._guardian)


@external
@view
def asset() -> address:
    return ASSET.address


@external
@view
def quote() -> address:
    return QUOTE.address


@external
@view
def oracle() -> address:
    return ORACLE.address


@external
@view
def spot() -> address:
    return SPOT.address


@external
@view
def guard() -> address:
    return GUARD.address


@external
@view
def price_divisor() -> uint256:
    return PRICE_DIVISOR


# ---------------------------------------------------------------------------------------------
# Value
# ---------------------------------------------------------------------------------------------


@internal
@view
def _price_for_reading() -> (bool, uint256):
    """
    @return Whether the price is good now, and it, or the last good one.
    """
    ok: bool = False
    price: IPriceOracle.Price = empty(IPriceOracle.Price)
    reason: String[32] = ""
    ok, price, reason = staticcall ORACLE.try_read()
    if ok:
        return True, price.price_wad
    return False, packed.part(self._last_price, 0, 192)


@internal
@view
def _flow(price_ok: bool, price_wad: uint256) -> IBookFlows.Flow:
    """
    @dev Without any price the venues are left out: nothing was ever sent there.
    """
    target: uint256 = self._target
    flow: IBookFlows.Flow = IBookFlows.Flow(
        price_ok=price_ok,
        price_wad=price_wad,
        assets=0,
        quote_value=convert(self._idle_quote(), int256),
        delta=0,
        hedge_ratio_bps=packed.part(target, 0, 16),
        gap_share_bps=packed.part(target, 88, 16),
        gap_floor=packed.part(target, 112, 128),
        venue=empty(address),
    )
    if price_wad == 0:
        return flow
    for i: uint256 in range(packed.part(target, 104, 8), bound=MAX_VENUES):
        venue: IHedgeVenue = self._venue(i)
        if i == 0:
            flow.venue = venue.address
        margin: IHedgeVenue.Margin = staticcall venue.margin(self, price_wad)
        flow.assets += margin.assets
        flow.quote_value += margin.quote + margin.profit
        flow.delta += margin.delta
    return flow


@internal
@view
def _position(venues: address[MAX_VENUES], price_wad: uint256) -> IHedgeGuard.Position:
    """
    @dev One call to each venue and one to the vault, which fails while the vault is at work.
    """
    position: IHedgeGuard.Position = empty(IHedgeGuard.Position)
    position.price_wad = price_wad
    position.price_divisor = PRICE_DIVISOR
    assets: uint256 = staticcall self._vault().idle_assets()
    quote_value: int256 = convert(self._idle_quote(), int256)
    for i: uint256 in range(MAX_VENUES):
        if venues[i] == empty(address):
            break
        margin: IHedgeVenue.Margin = staticcall IHedgeVenue(venues[i]).margin(self, price_wad)
        position.margins[i] = margin
        profit: int256 = margin.quote + margin.profit
        position.values[i] = self._value(convert(margin.assets, int256), price_wad) + profit
        assets += margin.assets
        quote_value += profit
        position.delta += margin.delta
    held: int256 = convert(assets, int256)
    position.delta += held
    position.nav = self._value(held, price_wad) + quote_value
    position.equity = held + fixed_point.div_floor(
        quote_value * convert(PRICE_DIVISOR, int256), convert(price_wad, int256)
    )
    bps: int256 = convert(BPS, int256)
    share: int256 = bps - convert(self._hedge_ratio_bps(), int256)
    position.gap = position.delta - fixed_point.div_floor(position.equity * share, bps)
    position.drift_wad = max_value(uint256)
    if position.equity > 0:
        position.drift_wad = fixed_point.mul_div_up(
            fixed_point.magnitude(position.gap), WAD, convert(position.equity, uint256)
        )
    return position


@internal
@view
def _nav(price_wad: uint256) -> int256:
    flow: IBookFlows.Flow = self._flow(False, price_wad)
    held: uint256 = flow.assets + staticcall self._vault().idle_assets()
    return self._value(convert(held, int256), price_wad) + flow.quote_value


@internal
@view
def _value(assets: int256, price_wad: uint256) -> int256:
    """
    @dev Quote, rounded down.
    """
    return fixed_point.div_floor(
        assets * convert(price_wad, int256), convert(PRICE_DIVISOR, int256)
    )


@internal
@view
def _value_up(assets: uint256, price_wad: uint256) -> uint256:
    return fixed_point.mul_div_up(assets, price_wad, PRICE_DIVISOR)


@internal
@view
def _free_assets(venue: IHedgeVenue, price_wad: uint256) -> uint256:
    return staticcall venue.free_assets(self, price_wad, limit_words.margin_target_bps(self._bands))


# ---------------------------------------------------------------------------------------------
# Carrying it out
# ---------------------------------------------------------------------------------------------


@internal
@view
def _prepared(plan: IHedgeBook.Plan, clock: uint256) -> (address[MAX_VENUES], IHedgeGuard.Outcome):
    """
    @dev Nothing is called that is not a registered venue. Bounds on amounts keep sums and
         products inside 256 bits; sizes are capped by the guard.
    @return All venues, and what is known before the plan runs.
    """
    venues: address[MAX_VENUES] = empty(address[MAX_VENUES])
    outcome: IHedgeGuard.Outcome = empty(IHedgeGuard.Outcome)
    outcome.rebalanced_at = packed.part(clock, 192, 32)
    outcome.paused_until = packed.part(clock, 224, 32)
    outcome.buckets = self._buckets
    outcome.venue_count = self._venue_count()
    for i: uint256 in range(outcome.venue_count, bound=MAX_VENUES):
        word: uint256 = self._venue_words[i]
        venues[i] = self._address_in(word)
        outcome.allotments_bps[i] = packed.part(word, 160, 16)
    assert abs(plan.spot_assets) <= MAX_AMOUNT, "book: amount too large"
    assert plan.spot_limit_price_wad <= MAX_PRICE_WAD, "book: spot limit too large"
    for n: uint256 in range(len(plan.legs), bound=MAX_LEGS):
        leg: IHedgeBook.Leg = plan.legs[n]
        most: int256 = max(max(abs(leg.margin_assets), abs(leg.margin_quote)), abs(leg.size))
        assert most <= MAX_AMOUNT, "book: amount too large"
        found: bool = False
        for i: uint256 in range(outcome.venue_count, bound=MAX_VENUES):
            if venues[i] == leg.venue:
                found = True
                outcome.venue_index[n] = i
        assert found, "book: unknown venue"
    return venues, outcome


@internal
def _execute(
    plan: IHedgeBook.Plan, before: IHedgeGuard.Position, prepared: IHedgeGuard.Outcome
) -> IHedgeGuard.Outcome:
    """
    @dev Legs in their order, the spot trade after `spot_after` of them.
    """
    outcome: IHedgeGuard.Outcome = prepared
    placed: uint256 = min(plan.spot_after, len(plan.legs))
    margins: IHedgeVenue.Margin[MAX_VENUES] = before.margins
    for n: uint256 in range(MAX_LEGS + 1):
        if n == placed and plan.spot_assets != 0:
            outcome.spot_quote = self._trade_spot(plan)
        if n == len(plan.legs):
            break
        leg: IHedgeBook.Leg = plan.legs[n]
        i: uint256 = outcome.venue_index[n]
        self._post_margin(leg)
        if leg.size != 0:
            outcome.costs[n] = self._trade(
                leg, plan.decision_id, margins[i].delta, before.price_wad
            )
            margins[i].delta += leg.size
        self._take_margin(leg)
        if leg.margin_assets != 0 or leg.margin_quote != 0:
            margins[i].assets = convert(
                convert(margins[i].assets, int256) + leg.margin_assets, uint256
            )
            self._log_margin(
                plan.decision_id,
                leg.venue,
                leg.margin_assets,
                leg.margin_quote,
                margins[i].assets,
            )
    return outcome


@internal
def _log_margin(
    decision_id: bytes32, venue: address, assets: int256, quote: int256, assets_after: uint256
):
    log IHedgeBook.MarginMoved(
        decision_id=decision_id,
        venue=venue,
        assets=assets,
        quote=quote,
        assets_after=assets_after,
        idle_quote_after=self._idle_quote(),
    )


@internal
def _post_margin(leg: IHedgeBook.Leg):
    """
    @dev The venue pulls exactly what it is approved for.
    """
    assets: uint256 = fixed_point.positive_part(leg.margin_assets)
    quote: uint256 = fixed_point.positive_part(leg.margin_quote)
    if assets != 0:
        extcall self._vault().release(assets)
        self._approve(ASSET, leg.venue, assets)
    if quote != 0:
        self._spend_quote(quote)
        self._approve(QUOTE, leg.venue, quote)
    if assets != 0 or quote != 0:
        extcall IHedgeVenue(leg.venue).deposit(assets, quote)


@internal
def _take_margin(leg: IHedgeBook.Leg):
    assets: uint256 = fixed_point.positive_part(-leg.margin_assets)
    quote: uint256 = fixed_point.positive_part(-leg.margin_quote)
    if assets != 0:
        extcall IHedgeVenue(leg.venue).withdraw(assets, 0, self._vault().address)
        extcall self._vault().credit(assets)
    if quote != 0:
        extcall IHedgeVenue(leg.venue).withdraw(0, quote, self)
        self._receive_quote(quote)


@internal
def _withdrawn(venue: IHedgeVenue, assets: uint256) -> bool:
    """
    @return Whether the venue sent asset margin to the vault, which counts it itself.
    """
    return raw_call(
        venue.address,
        abi_encode(
            assets,
            empty(uint256),
            self._vault().address,
            method_id=method_id("withdraw(uint256,uint256,address)"),
        ),
        revert_on_failure=False,
    )


@internal
def _trade(
    leg: IHedgeBook.Leg, decision_id: bytes32, delta_before: int256, price_wad: uint256
) -> int256:
    """
    @return Quote paid, fee included.
    """
    cost: int256 = extcall IHedgeVenue(leg.venue).trade(
        leg.instrument, leg.size, leg.limit_price_wad
    )
    log IHedgeBook.HedgeTraded(
        decision_id=decision_id,
        venue=leg.venue,
        instrument=leg.instrument,
        size=leg.size,
        cost=cost,
        delta_before=delta_before,
        delta_after=delta_before + leg.size,
        index_price_wad=price_wad,
    )
    return cost


@internal
def _trade_spot(plan: IHedgeBook.Plan) -> int256:
    """
    @dev Bought assets go straight to the vault. The limit is rounded against the market.
    @return Quote received.
    """
    assets: uint256 = fixed_point.magnitude(plan.spot_assets)
    quote: int256 = 0
    if plan.spot_assets > 0:
        most: uint256 = fixed_point.mul_div_down(assets, plan.spot_limit_price_wad, PRICE_DIVISOR)
        paid: uint256 = staticcall SPOT.quote_buy(assets)
        assert paid <= most, "book: spot limit price"
        self._spend_quote(paid)
        self._approve(QUOTE, SPOT.address, paid)
        assert (
            extcall SPOT.buy(assets, paid, self._vault().address) == paid
        ), "book: spot price moved"
        extcall self._vault().credit(assets)
        quote = -convert(paid, int256)
    else:
        least: uint256 = self._value_up(assets, plan.spot_limit_price_wad)
        extcall self._vault().release(assets)
        self._approve(ASSET, SPOT.address, assets)
        received: uint256 = extcall SPOT.sell(assets, least, self)
        self._receive_quote(received)
        quote = convert(received, int256)
    log IHedgeBook.SpotTraded(
        decision_id=plan.decision_id,
        assets=plan.spot_assets,
        quote=quote,
        idle_quote_after=self._idle_quote(),
    )
    return quote


@internal
def _spend_quote(quote: uint256):
    idle: uint256 = self._idle_quote()
    assert quote <= idle, "book: not enough idle quote"
    self._set_idle_quote(idle - quote)


@internal
def _receive_quote(quote: uint256):
    """
    @dev The ledger never says more than the token does.
    """
    idle: uint256 = self._idle_quote() + quote
    self._set_idle_quote(idle)
    assert staticcall QUOTE.balanceOf(self) >= idle, "book: quote not received"


@internal
@view
def _vault() -> IHedgeVault:
    return IHedgeVault(self._address_in(self._purse))


@internal
@view
def _idle_quote() -> uint256:
    return self._purse >> 160


@internal
def _set_idle_quote(quote: uint256):
    assert quote < 2**96, "book: quote over its bound"
    self._purse = packed.replace(self._purse, quote, 160, 96)


@internal
def _approve(token: IERC20, spender: address, amount: uint256):
    assert extcall token.approve(spender, amount, default_return_value=True), "book: approve failed"


# ---------------------------------------------------------------------------------------------
# Recording
# ---------------------------------------------------------------------------------------------


@internal
def _record(
    nonce: uint256,
    decision_id: bytes32,
    verdict: IHedgeGuard.Verdict,
    before: IHedgeGuard.Position,
    after: IHedgeGuard.Position,
    round_id: uint256,
):
    """
    @dev The chain of heads proves a replay of the events complete.
    """
    record: IHedgeBook.Record = IHedgeBook.Record(
        nonce=nonce,
        decision_id=decision_id,
        plan_hash=verdict.plan_hash,
        sender=msg.sender,
        price_wad=before.price_wad,
        oracle_round_id=round_id,
        hedge_ratio_bps=self._hedge_ratio_bps(),
        nav_before=before.nav,
        nav_after=after.nav,
        delta_before=before.delta,
        delta_after=after.delta,
        equity_before=before.equity,
        equity_after=after.equity,
        cost=before.nav - after.nav,
        turnover=verdict.turnover,
        block_number=block.number,
        block_at=block.timestamp,
    )
    head: bytes32 = keccak256(abi_encode(self._audit_head, record))
    self._audit_head = head
    log IHedgeBook.Rebalanced(decision_id=decision_id, nonce=nonce, record=record, audit_head=head)


@internal
def _store_price(price_wad: uint256):
    self._last_price = packed.place(price_wad, 0, 192) | (block.timestamp << 192)


# ---------------------------------------------------------------------------------------------
# Parameters
# ---------------------------------------------------------------------------------------------


@internal
@view
def _only_vault():
    assert msg.sender == self._vault().address, "book: caller is not the vault"


@internal
@view
def _decimals(token: address) -> uint256:
    decimals: uint256 = convert(staticcall IERC20Detailed(token).decimals(), uint256)
    assert decimals >= 6 and decimals <= 18, "book: decimals not 6 to 18"
    return decimals


@internal
@view
def _limits() -> IHedgeBook.Limits:
    target: uint256 = self._target
    return limit_words.unpacked(
        self._bands, self._sizes, packed.part(target, 88, 16), packed.part(target, 112, 128)
    )


@internal
def _set_limits(limits: IHedgeBook.Limits):
    log IHedgeBook.LimitsSet(limits_before=self._limits(), limits_after=limits)
    self._bands, self._sizes = staticcall GUARD.checked_limits(limits)
    target: uint256 = packed.replace(self._target, limits.gap_share_bps, 88, 16)
    self._target = packed.replace(target, limits.gap_floor, 112, 128)


@internal
def _set_ratio_bounds(min_bps: uint256, max_bps: uint256):
    assert min_bps <= max_bps, "book: ratio bounds crossed"
    assert max_bps <= MAX_HEDGE_RATIO_BPS, "book: ratio bound too high"
    log IHedgeBook.HedgeRatioBoundsSet(
        min_before_bps=packed.part(self._target, 16, 16),
        max_before_bps=packed.part(self._target, 32, 16),
        min_after_bps=min_bps,
        max_after_bps=max_bps,
    )
    target: uint256 = packed.replace(self._target, min_bps, 16, 16)
    self._target = packed.replace(target, max_bps, 32, 16)


@internal
def _set_ratio(ratio_bps: uint256):
    self._check_ratio(ratio_bps)
    log IHedgeBook.HedgeRatioSet(
        ratio_before_bps=self._hedge_ratio_bps(), ratio_after_bps=ratio_bps
    )
    target: uint256 = packed.replace(self._target, ratio_bps, 0, 16)
    self._target = packed.replace(target, block.timestamp, 48, 40)


@internal
@view
def _check_ratio(ratio_bps: uint256):
    assert ratio_bps >= packed.part(self._target, 16, 16), "book: ratio under its bound"
    assert ratio_bps <= packed.part(self._target, 32, 16), "book: ratio over its bound"


@internal
@view
def _check_base_charge(ratio_bps: uint256):
    """
    @dev A price that lags by the thresholds of its feeds must not be worth trading against.
    """
    least: uint256 = fixed_point.mul_div_up(
        ratio_bps, staticcall ORACLE.deviation_thresholds_bps(), BPS
    )
    charge: uint256 = staticcall self._vault().base_charge_bps()
    assert charge >= least, "book: base charge too low"


@internal
@view
def _hedge_ratio_bps() -> uint256:
    return packed.part(self._target, 0, 16)


@internal
@view
def _venue_count() -> uint256:
    return packed.part(self._target, 104, 8)


@internal
@view
def _venue(i: uint256) -> IHedgeVenue:
    return IHedgeVenue(self._address_in(self._venue_words[i]))


@internal
@pure
def _venue_word(venue: address, allotment_bps: uint256) -> uint256:
    return convert(venue, uint256) | packed.place(allotment_bps, 160, 16)


@internal
@view
def _index_of(venue: address) -> uint256:
    """
    @dev MAX_VENUES when it is not registered.
    """
    for i: uint256 in range(self._venue_count(), bound=MAX_VENUES):
        if self._venue(i).address == venue:
            return i
    return MAX_VENUES


@internal
@view
def _known_index_of(venue: address) -> uint256:
    i: uint256 = self._index_of(venue)
    assert i < MAX_VENUES, "book: unknown venue"
    return i


@internal
def _set_keeper(keeper: address):
    assert keeper != empty(address), "book: keeper is zero"
    clock: uint256 = self._clock
    log IHedgeBook.KeeperSet(keeper_before=self._address_in(clock), keeper_after=keeper)
    self._clock = packed.replace(clock, convert(keeper, uint256), 0, 160)


@internal
def _set_guardian(guardian: address):
    assert guardian != empty(address), "book: guardian is zero"
    word: uint256 = self._guardian
    log IHedgeBook.GuardianSet(guardian_before=self._address_in(word), guardian_after=guardian)
    self._guardian = packed.replace(word, convert(guardian, uint256), 0, 160)


@internal
@pure
def _address_in(word: uint256) -> address:
    """
    @dev The lowest 160 bits.
    """
    return convert(word & convert(max_value(uint160), uint256), address)


@internal
def _set_pause(paused_until: uint256):
    self._clock = packed.replace(self._clock, paused_until, 224, 32)
    log IHedgeBook.RebalancingPaused(paused_until=paused_until)
