# SPDX-License-Identifier: MIT
# pragma version 0.4.3
"""
@title What one vault's book stores, what it is worth, and how a plan is carried out
@dev A book exceeds the size of a contract, so its code is in two: `HedgeBook` holds this storage and
     runs the code of `BookControl` on it, by delegatecall, for every call that it does not have.
     `BookControl` has no storage of its own: slots agree (a test compares them), and one
     reentrancy lock covers both.

     Of each venue the book keeps what it must be worth by the book's own orders: x, the exposure
     left there (asset margin plus size), and c, the cash, in quote. At a price S a venue that
     tells the truth is worth

         x * S + c + what funding brought since

     and what it says beyond a credit for funding does not count. The credit grows by GAIN of what
     is at stake, |x| * S + |c|, in a day, for CREDIT_DAYS at the most; noting x and c anew spends
     what was used of it. So a venue that lies adds 1 % a day to what was left there. No answer
     stops the book:

         worth more than the credit   the most allowed counts
         worth less by more than it   all of the loss counts, down to a worth of nothing: no venue
                                      can take what is not there
         assets + delta is not x      somebody closed or seized something, at a price between the
                                      last one seen and S: the better of the two bounds the value;
                                      the hedge is lost there, and the next plan is urgent
         no answer, or nonsense       x counts as exposure, and nothing as value

     and nobody enters in any of the four: a venue that hides its value for an hour, or a month of
     credit, would sell shares too cheaply. A plan notes x and c of each venue that it touches or
     that lost something, `flag` of those that are worth what they should be, once the drift is
     inside the band also where part of the hedge is lost.
@custom:units Asset amounts and sizes in raw asset units under 2**112, quote amounts in raw quote
     units (idle quote under 2**96), prices WAD between 1e6 and 1e30. Long positive.
@custom:rounding Value and E down, drift up, bounds on fills down.
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed

from interfaces import IBookControl
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


struct Sight:  # a venue as far as it is believed
    margin: IHedgeVenue.Margin
    value: int256  # quote, at the index, asset margin in full
    noted_at: uint256  # where its credit starts once this is noted; zero when it does not answer
    lost: bool  # assets + delta is not what was left
    short: bool  # worth less than the credit explains
    sound: bool


struct Scene:  # vault and book at one price, before or after a plan
    position: IHedgeGuard.Position
    noted_at: uint256[MAX_VENUES]
    lost: bool[MAX_VENUES]
    short: bool[MAX_VENUES]


BPS: constant(uint256) = 10_000
BP_WAD: constant(uint256) = 10**14
WAD: constant(uint256) = 10**18
DAY: constant(uint256) = 86_400  # seconds
MIN_GRACE: constant(uint256) = 60  # seconds; a keeper needs a few blocks
MAX_GRACE: constant(uint256) = 7 * 86_400
MAX_AMOUNT: constant(int256) = 2**112  # asset or quote units; times a price under 2**212
MAX_PRICE_WAD: constant(uint256) = 10**30  # the oracle serves no more
GAIN_BPS: constant(uint256) = 100  # of what is at stake, in a day; funding rarely pays a third
CREDIT_DAYS: constant(uint256) = 30
MARGIN_GAS: constant(uint256) = 100_000  # what a venue may burn to say what is there
MARGIN_BYTES: constant(uint256) = 7 * 32
MARGIN_BITS: constant(uint256) = 112  # of asset or quote units in any answer
MAX_REWARD: constant(uint256) = 2**112
EXPOSURE_BITS: constant(uint256) = 112  # two's complement
CASH_BITS: constant(uint256) = 104
MAX_EXPOSURE: constant(int256) = 2**111
MAX_CASH: constant(int256) = 2**103
NOTED_AT: constant(uint256) = EXPOSURE_BITS + CASH_BITS
ABOVE_EXPOSURE: constant(uint256) = 256 - EXPOSURE_BITS
ABOVE_CASH: constant(uint256) = 256 - NOTED_AT
NONCE_AT: constant(uint256) = 160
REBALANCED_AT: constant(uint256) = 192
UNWINDS_AT: constant(uint256) = 240
FLAGGED_AT: constant(uint256) = 152

MAX_VENUES: constant(uint256) = 4
MAX_LEGS: constant(uint256) = 8
MAX_HEDGE_RATIO_BPS: constant(uint256) = 12_000  # minimum variance ratios stay near 1

ASSET: immutable(IERC20)
QUOTE: immutable(IERC20)
ORACLE: immutable(IPriceOracle)
SPOT: immutable(ISpotMarket)
GUARD: immutable(IHedgeGuard)
PRICE_DIVISOR: immutable(uint256)

guardian_word: uint256  # address 160 | next pause not before 40
purse: uint256  # vault 160 | idle quote 96
clock: uint256  # keeper 160 | nonce 32 | rebalanced at 32 | paused until 32

venue_words: uint256[MAX_VENUES]  # address 160 | allotment bps 16
records: uint256[MAX_VENUES]  # exposure 112 | cash 104 | noted at 40
# hedge ratio 16 | least 16 | most 16 | set at 40 | gap share 16 | venues 8 | gap floor 128 | unwinds
target: uint256
bands: uint256  # modules/limits.vy
sizes: uint256
buckets: uint256  # HedgeGuard.vy
seen: uint256  # last good price 112 | at 40 | flagged at 40
fallback_word: uint256  # grace 32 | ramp 32 | most of a reward 112
audit_head: bytes32


@deploy
def __init__(parts: IBookControl.Parts):
    assert parts.asset != empty(address), "book: asset is zero"
    assert parts.quote != empty(address), "book: quote is zero"
    assert parts.asset != parts.quote, "book: asset is quote"
    assert parts.oracle != empty(address), "book: oracle is zero"
    assert parts.spot != empty(address), "book: spot is zero"
    assert parts.guard != empty(address), "book: guard is zero"
    ASSET = IERC20(parts.asset)
    QUOTE = IERC20(parts.quote)
    ORACLE = IPriceOracle(parts.oracle)
    SPOT = ISpotMarket(parts.spot)
    GUARD = IHedgeGuard(parts.guard)
    asset_decimals: uint256 = self._decimals(parts.asset)
    PRICE_DIVISOR = 10**(18 + asset_decimals - self._decimals(parts.quote))


@internal
@view
def _decimals(token: address) -> uint256:
    decimals: uint256 = convert(staticcall IERC20Detailed(token).decimals(), uint256)
    assert decimals >= 6 and decimals <= 18, "book: decimals not 6 to 18"
    return decimals


# What the venues are worth


@internal
@view
def sight(i: uint256, record: uint256, price_wad: uint256) -> Sight:
    """
    @dev The i-th venue at this price, believed as far as its record goes.
    """
    exposure: int256 = self.exposure_of(record)
    at_index: int256 = self.value(exposure, price_wad)
    expected: int256 = at_index + self.cash_of(record)
    sight: Sight = empty(Sight)
    answered: bool = False
    words: Bytes[MARGIN_BYTES] = b""
    # Nobody makes a venue fail by bringing little gas: what is left then writes not even a word.
    answered, words = raw_call(
        self.venue(i).address,
        abi_encode(self, price_wad, method_id=method_id("margin(address,uint256)")),
        max_outsize=MARGIN_BYTES,
        gas=MARGIN_GAS,
        is_static_call=True,
        revert_on_failure=False,
    )
    held: int256 = 0
    there: int256 = 0
    if answered and len(words) == MARGIN_BYTES:
        sight.margin = abi_decode(words, IHedgeVenue.Margin)
        answered = self._can_be(sight.margin)
    else:
        answered = False
    if answered:
        held = convert(sight.margin.assets, int256)
        there = held + sight.margin.delta
        sight.value = self.value(held, price_wad) + sight.margin.quote + sight.margin.profit
        answered = self._can_be_noted(there, sight.value - self.value(there, price_wad))
    if not answered:
        sight = empty(Sight)
        sight.margin.delta = exposure
        return sight
    sight.lost = there != exposure
    if sight.lost:
        at_last: int256 = self.value(exposure, packed.part(self.seen, 0, 112))
        expected += max(at_last - at_index, 0)
    sight.noted_at = max(packed.part(record, NOTED_AT, 40), block.timestamp - CREDIT_DAYS * DAY)
    change: int256 = sight.value - expected
    at_stake: int256 = abs(at_index) + abs(self.cash_of(record))
    a_day: uint256 = fixed_point.mul_div_up(convert(at_stake, uint256), GAIN_BPS, BPS)
    credit: int256 = convert(
        fixed_point.mul_div_up(a_day, block.timestamp - sight.noted_at, DAY), int256
    )
    sight.short = change < -credit
    sight.sound = not sight.lost and abs(change) <= credit
    counted: int256 = min(change, credit)
    sight.value += counted - change
    if counted > 0:
        spent: uint256 = fixed_point.mul_div_up(convert(counted, uint256), DAY, a_day)
        sight.noted_at = min(sight.noted_at + spent, block.timestamp)
    return sight


@internal
@pure
def _can_be(margin: IHedgeVenue.Margin) -> bool:
    """
    @dev No amount has more bits than any market needs; of negative ones the complement.
    """
    signed: int256 = (
        (margin.quote ^ (margin.quote >> 255))
        | (margin.delta ^ (margin.delta >> 255))
        | (margin.profit ^ (margin.profit >> 255))
        | (margin.equity ^ (margin.equity >> 255))
    )
    unsigned: uint256 = margin.assets | margin.initial | margin.maintenance
    return (convert(signed, uint256) | unsigned) >> MARGIN_BITS == 0


@internal
@view
def flow(price_ok: bool, price_wad: uint256) -> IBookFlows.Flow:
    """
    @dev Without any price the venues are left out: nothing was ever sent there.
    """
    target: uint256 = self.target
    flow: IBookFlows.Flow = IBookFlows.Flow(
        price_ok=price_ok,
        price_wad=price_wad,
        assets=0,
        quote_value=convert(self.idle_quote(), int256),
        delta=0,
        hedge_ratio_bps=packed.part(target, 0, 16),
        gap_share_bps=packed.part(target, 88, 16),
        gap_floor=packed.part(target, 112, 128),
        sound=not self.unwinds(),
        venue=empty(address),
    )
    if price_wad == 0:
        return flow
    for i: uint256 in range(packed.part(target, 104, 8), bound=MAX_VENUES):
        sight: Sight = self.sight(i, self.records[i], price_wad)
        if flow.venue == empty(address) and sight.noted_at != 0:
            flow.venue = self.venue(i).address
        flow.assets += sight.margin.assets
        flow.quote_value += self._quote_value(sight, price_wad)
        flow.delta += sight.margin.delta
        flow.sound = flow.sound and sight.sound
    return flow


@internal
@view
def scene(idle_assets: uint256, records: uint256[MAX_VENUES], price_wad: uint256) -> Scene:
    """
    @dev One call to each venue.
    """
    scene: Scene = empty(Scene)
    position: IHedgeGuard.Position = empty(IHedgeGuard.Position)
    position.price_wad = price_wad
    position.price_divisor = PRICE_DIVISOR
    assets: uint256 = idle_assets
    quote_value: int256 = convert(self.idle_quote(), int256)
    for i: uint256 in range(self.venue_count(), bound=MAX_VENUES):
        sight: Sight = self.sight(i, records[i], price_wad)
        position.margins[i] = sight.margin
        position.values[i] = sight.value
        assets += sight.margin.assets
        quote_value += self._quote_value(sight, price_wad)
        position.delta += sight.margin.delta
        scene.noted_at[i] = sight.noted_at
        scene.lost[i] = sight.lost
        scene.short[i] = sight.short
    held: int256 = convert(assets, int256)
    position.delta += held
    position.nav = self.value(held, price_wad) + quote_value
    position.equity = held + fixed_point.div_floor(
        quote_value * convert(PRICE_DIVISOR, int256), convert(price_wad, int256)
    )
    bps: int256 = convert(BPS, int256)
    share: int256 = bps - convert(self.hedge_ratio_bps(), int256)
    position.gap = position.delta - fixed_point.div_floor(position.equity * share, bps)
    position.drift_wad = max_value(uint256)
    if position.equity > 0:
        position.drift_wad = fixed_point.mul_div_up(
            fixed_point.magnitude(position.gap), WAD, convert(position.equity, uint256)
        )
    scene.position = position
    return scene


@internal
@view
def _quote_value(sight: Sight, price_wad: uint256) -> int256:
    """
    @dev What counts beside the asset margin: together at least nothing, less the unit by which
         the value of the margin is rounded.
    """
    return max(sight.value, -1) - self.value(convert(sight.margin.assets, int256), price_wad)


@internal
@view
def due(position: IHedgeGuard.Position) -> bool:
    """
    @dev Drift is over the urgent band, or margin anywhere under its floor.
    """
    bands: uint256 = self.bands
    if position.drift_wad > limit_words.urgent_band_bps(bands) * BP_WAD:
        return True
    floor_bps: uint256 = limit_words.margin_floor_bps(bands)
    for margin: IHedgeVenue.Margin in position.margins:
        least: int256 = convert(margin.maintenance * floor_bps, int256)
        if least != 0 and margin.equity * convert(BPS, int256) < least:
            return True
    return False


@internal
@view
def value(assets: int256, price_wad: uint256) -> int256:
    """
    @dev Quote, rounded down.
    """
    return fixed_point.div_floor(
        assets * convert(price_wad, int256), convert(PRICE_DIVISOR, int256)
    )


# What was left at a venue


@internal
@pure
def exposure_of(record: uint256) -> int256:
    return self._signed(record << ABOVE_EXPOSURE) >> ABOVE_EXPOSURE


@internal
@pure
def cash_of(record: uint256) -> int256:
    return self._signed(record << ABOVE_CASH) >> (ABOVE_CASH + EXPOSURE_BITS)


@internal
@pure
def _signed(word: uint256) -> int256:
    """
    @dev The same bits, in two's complement.
    """
    return convert(convert(word, bytes32), int256)


@internal
@pure
def record(exposure: int256, cash: int256, noted_at: uint256) -> uint256:
    assert self._can_be_noted(exposure, cash), "book: record over its bounds"
    return (
        self._unsigned(exposure, EXPOSURE_BITS)
        | (self._unsigned(cash, CASH_BITS) << EXPOSURE_BITS)
        | packed.place(noted_at, NOTED_AT, 40)
    )


@internal
@pure
def _can_be_noted(exposure: int256, cash: int256) -> bool:
    return abs(exposure) < MAX_EXPOSURE and abs(cash) < MAX_CASH


@internal
@pure
def _unsigned(number: int256, bits: uint256) -> uint256:
    """
    @dev The lowest bits, of two's complement.
    """
    return convert(convert(number, bytes32), uint256) & ~(max_value(uint256) << bits)


@internal
@view
def noted(scene: Scene, i: uint256) -> uint256:
    """
    @dev The record of a venue as it stands, no more believed than before.
    """
    assert scene.noted_at[i] != 0, "book: venue does not answer"
    margin: IHedgeVenue.Margin = scene.position.margins[i]
    exposure: int256 = convert(margin.assets, int256) + margin.delta
    at_index: int256 = self.value(exposure, scene.position.price_wad)
    return self.record(exposure, scene.position.values[i] - at_index, scene.noted_at[i])


@internal
@view
def records_now() -> uint256[MAX_VENUES]:
    records: uint256[MAX_VENUES] = empty(uint256[MAX_VENUES])
    for i: uint256 in range(self.venue_count(), bound=MAX_VENUES):
        records[i] = self.records[i]
    return records


# Carrying out a plan


@internal
def carry_out(plan: IHedgeBook.Plan, sender: address, reward: uint256, receiver: address):
    """
    @dev Sender, nonce and deadline are the caller's to check. With a receiver it comes in the
         keeper's place; a reward, in asset units, is part of the cost.
    """
    clock: uint256 = self.clock + (1 << NONCE_AT)
    self.clock = clock
    price: IPriceOracle.Price = staticcall ORACLE.read()
    outcome: IHedgeGuard.Outcome = self._prepared(plan, clock)
    outcome.open_to_all = receiver != empty(address)
    records: uint256[MAX_VENUES] = self.records_now()
    idle_assets: uint256 = staticcall self.vault().settled_idle_assets()
    scene: Scene = self.scene(idle_assets, records, price.price_wad)
    before: IHedgeGuard.Position = scene.position
    assert not outcome.open_to_all or self.due(before), "book: nothing is urgent"
    to_note: bool[MAX_VENUES] = scene.lost
    for n: uint256 in range(len(plan.legs), bound=MAX_LEGS):
        to_note[outcome.venue_index[n]] = True
    for i: uint256 in range(outcome.venue_count, bound=MAX_VENUES):
        if scene.lost[i]:
            outcome.lost = True
            self.log_lost(records[i], before.margins[i], i)
        if to_note[i]:
            records[i] = self.noted(scene, i)
    outcome = self._execute(plan, before, outcome)
    for n: uint256 in range(len(plan.legs), bound=MAX_LEGS):
        leg: IHedgeBook.Leg = plan.legs[n]
        i: uint256 = outcome.venue_index[n]
        records[i] = self.after_order(
            records[i], leg.margin_assets, leg.margin_quote, leg.size, price.price_wad
        )
    if outcome.open_to_all:
        outcome.reward = self._pay_reward(reward, sender, receiver, price.price_wad)

    scene = self.scene(staticcall self.vault().idle_assets(), records, price.price_wad)
    verdict: IHedgeGuard.Verdict = staticcall GUARD.judge(
        plan, before, scene.position, outcome, self.limits()
    )
    for i: uint256 in range(outcome.venue_count, bound=MAX_VENUES):
        if to_note[i]:
            self.records[i] = self.noted(scene, i)
    if verdict.traded:
        self.clock = packed.replace(clock, block.timestamp, REBALANCED_AT, 32)
    if verdict.buckets != outcome.buckets:
        self.buckets = verdict.buckets
    flagged_at: uint256 = 0
    if self.due(scene.position):
        assert verdict.traded or reward == 0, "book: margin still under its floor"
        flagged_at = block.timestamp if outcome.open_to_all else self.flagged_at()
    self.see(price.price_wad, flagged_at)
    self._record(plan, sender, verdict, before, scene.position, price.round_id)


@internal
@view
def after_order(
    record: uint256,
    margin_assets: int256,
    margin_quote: int256,
    size: int256,
    price_wad: uint256,
) -> uint256:
    """
    @dev Sizes at the index: what a fill was better than that is a gain like another.
    """
    return self.record(
        self.exposure_of(record) + margin_assets + size,
        self.cash_of(record) + margin_quote - self.value(size, price_wad),
        packed.part(record, NOTED_AT, 40),
    )


@internal
def _pay_reward(assets: uint256, sender: address, receiver: address, price_wad: uint256) -> uint256:
    """
    @return Its worth in quote, rounded up.
    """
    if assets != 0:
        extcall self.vault().release(assets)
        assert extcall ASSET.transfer(
            receiver, assets, default_return_value=True
        ), "book: transfer failed"
    log IHedgeBook.FellBack(sender=sender, receiver=receiver, reward=assets)
    return self._value_up(assets, price_wad)


@internal
def log_lost(record: uint256, margin: IHedgeVenue.Margin, i: uint256):
    log IHedgeBook.HedgeLost(
        venue=self.venue(i).address,
        exposure_before=self.exposure_of(record),
        assets=margin.assets,
        delta=margin.delta,
    )


@internal
@view
def _value_up(assets: uint256, price_wad: uint256) -> uint256:
    return fixed_point.mul_div_up(assets, price_wad, PRICE_DIVISOR)


@internal
@view
def _prepared(plan: IHedgeBook.Plan, clock: uint256) -> IHedgeGuard.Outcome:
    """
    @dev Nothing is called that is not a registered venue. Bounds on amounts keep sums and
         products inside 256 bits; sizes are capped by the guard.
    @return What is known before the plan runs.
    """
    venues: address[MAX_VENUES] = empty(address[MAX_VENUES])
    outcome: IHedgeGuard.Outcome = empty(IHedgeGuard.Outcome)
    outcome.rebalanced_at = packed.part(clock, 192, 32)
    outcome.paused_until = packed.part(clock, 224, 32)
    outcome.buckets = self.buckets
    outcome.venue_count = self.venue_count()
    outcome.unwinds = self.unwinds()
    for i: uint256 in range(outcome.venue_count, bound=MAX_VENUES):
        word: uint256 = self.venue_words[i]
        venues[i] = self.address_in(word)
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
    return outcome


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
            self.log_margin(
                plan.decision_id,
                leg.venue,
                leg.margin_assets,
                leg.margin_quote,
                margins[i].assets,
            )
    return outcome


@internal
def log_margin(
    decision_id: bytes32, venue: address, assets: int256, quote: int256, assets_after: uint256
):
    log IHedgeBook.MarginMoved(
        decision_id=decision_id,
        venue=venue,
        assets=assets,
        quote=quote,
        assets_after=assets_after,
        idle_quote_after=self.idle_quote(),
    )


@internal
def _post_margin(leg: IHedgeBook.Leg):
    """
    @dev The venue pulls exactly what it is approved for.
    """
    assets: uint256 = fixed_point.positive_part(leg.margin_assets)
    quote: uint256 = fixed_point.positive_part(leg.margin_quote)
    if assets != 0:
        extcall self.vault().release(assets)
        self._approve(ASSET, leg.venue, assets)
    if quote != 0:
        self.spend_quote(quote)
        self._approve(QUOTE, leg.venue, quote)
    if assets != 0 or quote != 0:
        extcall IHedgeVenue(leg.venue).deposit(assets, quote)


@internal
def _take_margin(leg: IHedgeBook.Leg):
    assets: uint256 = fixed_point.positive_part(-leg.margin_assets)
    quote: uint256 = fixed_point.positive_part(-leg.margin_quote)
    if assets != 0:
        extcall IHedgeVenue(leg.venue).withdraw(assets, 0, self.vault().address)
        extcall self.vault().credit(assets)
    if quote != 0:
        extcall IHedgeVenue(leg.venue).withdraw(0, quote, self)
        self.receive_quote(quote)


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
        self.spend_quote(paid)
        self._approve(QUOTE, SPOT.address, paid)
        assert (
            extcall SPOT.buy(assets, paid, self.vault().address) == paid
        ), "book: spot price moved"
        extcall self.vault().credit(assets)
        quote = -convert(paid, int256)
    else:
        least: uint256 = self._value_up(assets, plan.spot_limit_price_wad)
        extcall self.vault().release(assets)
        self._approve(ASSET, SPOT.address, assets)
        received: uint256 = extcall SPOT.sell(assets, least, self)
        self.receive_quote(received)
        quote = convert(received, int256)
    log IHedgeBook.SpotTraded(
        decision_id=plan.decision_id,
        assets=plan.spot_assets,
        quote=quote,
        idle_quote_after=self.idle_quote(),
    )
    return quote


@internal
def spend_quote(quote: uint256):
    idle: uint256 = self.idle_quote()
    assert quote <= idle, "book: not enough idle quote"
    self._set_idle_quote(idle - quote)


@internal
def receive_quote(quote: uint256):
    """
    @dev The ledger never says more than the token does.
    """
    idle: uint256 = self.idle_quote() + quote
    self._set_idle_quote(idle)
    assert staticcall QUOTE.balanceOf(self) >= idle, "book: quote not received"


@internal
@view
def vault() -> IHedgeVault:
    return IHedgeVault(self.address_in(self.purse))


@internal
@view
def idle_quote() -> uint256:
    return self.purse >> 160


@internal
def _set_idle_quote(quote: uint256):
    assert quote < 2**96, "book: quote over its bound"
    self.purse = packed.replace(self.purse, quote, 160, 96)


@internal
def _approve(token: IERC20, spender: address, amount: uint256):
    assert extcall token.approve(spender, amount, default_return_value=True), "book: approve failed"


# Recording


@internal
def _record(
    plan: IHedgeBook.Plan,
    sender: address,
    verdict: IHedgeGuard.Verdict,
    before: IHedgeGuard.Position,
    after: IHedgeGuard.Position,
    round_id: uint256,
):
    """
    @dev The chain of heads proves a replay of the events complete.
    """
    record: IHedgeBook.Record = IHedgeBook.Record(
        nonce=plan.nonce,
        decision_id=plan.decision_id,
        plan_hash=verdict.plan_hash,
        sender=sender,
        price_wad=before.price_wad,
        oracle_round_id=round_id,
        hedge_ratio_bps=self.hedge_ratio_bps(),
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
    head: bytes32 = keccak256(abi_encode(self.audit_head, record))
    self.audit_head = head
    log IHedgeBook.Rebalanced(
        decision_id=plan.decision_id, nonce=plan.nonce, record=record, audit_head=head
    )


@internal
def see(price_wad: uint256, flagged_at: uint256):
    """
    @dev The last good price, and since when the keeper is late.
    """
    self.seen = (
        packed.place(price_wad, 0, 112)
        | packed.place(block.timestamp, 112, 40)
        | packed.place(flagged_at, FLAGGED_AT, 40)
    )


@internal
@view
def unwinds() -> bool:
    return packed.part(self.target, UNWINDS_AT, 1) != 0


@internal
@view
def flagged_at() -> uint256:
    return packed.part(self.seen, FLAGGED_AT, 40)


# Parameters


@internal
@view
def limits() -> IHedgeBook.Limits:
    target: uint256 = self.target
    return limit_words.unpacked(
        self.bands, self.sizes, packed.part(target, 88, 16), packed.part(target, 112, 128)
    )


@internal
def set_limits(limits: IHedgeBook.Limits):
    log IHedgeBook.LimitsSet(limits_before=self.limits(), limits_after=limits)
    self.bands, self.sizes = staticcall GUARD.checked_limits(limits)
    target: uint256 = packed.replace(self.target, limits.gap_share_bps, 88, 16)
    self.target = packed.replace(target, limits.gap_floor, 112, 128)


@internal
@view
def fallback_terms() -> IHedgeBook.Fallback:
    word: uint256 = self.fallback_word
    return IHedgeBook.Fallback(
        grace_secs=packed.part(word, 0, 32),
        ramp_secs=packed.part(word, 32, 32),
        max_reward=packed.part(word, 64, 112),
    )


@internal
def set_fallback(terms: IHedgeBook.Fallback):
    assert terms.grace_secs >= MIN_GRACE, "book: grace too short"
    assert terms.grace_secs <= MAX_GRACE, "book: grace too long"
    assert terms.ramp_secs > 0, "book: ramp is zero"
    assert terms.ramp_secs <= DAY, "book: ramp too long"
    assert terms.max_reward < MAX_REWARD, "book: reward over its bound"
    log IHedgeBook.FallbackSet(terms_before=self.fallback_terms(), terms_after=terms)
    self.fallback_word = (
        packed.place(terms.grace_secs, 0, 32)
        | packed.place(terms.ramp_secs, 32, 32)
        | packed.place(terms.max_reward, 64, 112)
    )


@internal
def set_ratio_bounds(min_bps: uint256, max_bps: uint256):
    assert min_bps <= max_bps, "book: ratio bounds crossed"
    assert max_bps <= MAX_HEDGE_RATIO_BPS, "book: ratio bound too high"
    log IHedgeBook.HedgeRatioBoundsSet(
        min_before_bps=packed.part(self.target, 16, 16),
        max_before_bps=packed.part(self.target, 32, 16),
        min_after_bps=min_bps,
        max_after_bps=max_bps,
    )
    target: uint256 = packed.replace(self.target, min_bps, 16, 16)
    self.target = packed.replace(target, max_bps, 32, 16)


@internal
def set_ratio(ratio_bps: uint256):
    self.check_ratio(ratio_bps)
    log IHedgeBook.HedgeRatioSet(ratio_before_bps=self.hedge_ratio_bps(), ratio_after_bps=ratio_bps)
    target: uint256 = packed.replace(self.target, ratio_bps, 0, 16)
    self.target = packed.replace(target, block.timestamp, 48, 40)


@internal
@view
def check_ratio(ratio_bps: uint256):
    assert ratio_bps >= packed.part(self.target, 16, 16), "book: ratio under its bound"
    assert ratio_bps <= packed.part(self.target, 32, 16), "book: ratio over its bound"


@internal
@view
def hedge_ratio_bps() -> uint256:
    return packed.part(self.target, 0, 16)


@internal
@view
def venue_count() -> uint256:
    return packed.part(self.target, 104, 8)


@internal
@view
def venue(i: uint256) -> IHedgeVenue:
    return IHedgeVenue(self.address_in(self.venue_words[i]))


@internal
@pure
def venue_word(venue: address, allotment_bps: uint256) -> uint256:
    return convert(venue, uint256) | packed.place(allotment_bps, 160, 16)


@internal
@view
def index_of(venue: address) -> uint256:
    """
    @dev MAX_VENUES when it is not registered.
    """
    for i: uint256 in range(self.venue_count(), bound=MAX_VENUES):
        if self.venue(i).address == venue:
            return i
    return MAX_VENUES


@internal
@view
def known_index_of(venue: address) -> uint256:
    i: uint256 = self.index_of(venue)
    assert i < MAX_VENUES, "book: unknown venue"
    return i


@internal
def set_keeper(keeper: address):
    assert keeper != empty(address), "book: keeper is zero"
    clock: uint256 = self.clock
    log IHedgeBook.KeeperSet(keeper_before=self.address_in(clock), keeper_after=keeper)
    self.clock = packed.replace(clock, convert(keeper, uint256), 0, 160)


@internal
def set_guardian(guardian: address):
    assert guardian != empty(address), "book: guardian is zero"
    word: uint256 = self.guardian_word
    log IHedgeBook.GuardianSet(guardian_before=self.address_in(word), guardian_after=guardian)
    self.guardian_word = packed.replace(word, convert(guardian, uint256), 0, 160)


@internal
@pure
def address_in(word: uint256) -> address:
    """
    @dev The lowest 160 bits.
    """
    return convert(word & convert(max_value(uint160), uint256), address)
