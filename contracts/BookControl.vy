# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
"""
@title What owner, guardian and, when the keeper is late, anybody may do with a book
@notice Part of a book, which runs this code on its own storage (`modules/book_ledger.vy`); called
     directly it moves nothing, because its own storage stays empty and nobody owns it.
@dev The keeper is late when drift is over the urgent band or margin under its floor. `flag` says
     so and starts the clock; any priced call that finds all in order again clears it. After the
     grace period anyone may send one leg, checked like a keeper's plan, for a reward that rises
     from zero along a ramp, so that it ends where somebody finds it worth his gas. A leg that
     leaves the keeper late starts the clock again.

     What the guardian does only reduces risk; lifting a pause early ends what he began himself,
     and leads back to what the owner's delay has let everybody see. An allotment that he lowered
     takes no top-ups either: who does it because a venue is not to be trusted unwinds as well.
     What the vault asks for an exit in kind is here because there is no room in `HedgeBook`.
@custom:units As `HedgeBook`.
@custom:rounding As `HedgeBook`; rewards down.
@custom:halt As `HedgeBook`.
@custom:access
     flag, fall_back                       anyone    at once
     start_unwind, lift_rebalancing_pause  guardian  at once
     start_unwind, lift_rebalancing_pause  owner     delay
     pause_rebalancing                     guardian  at once
     set_allotment (to less)               guardian  at once
     set_allotment, set_limits             owner     delay
     set_hedge_ratio                       owner     delay
     set_hedge_ratio_bounds, set_fallback  owner     delay
     set_keeper, set_guardian, add_venue   owner     delay
     set_vault (once)                      owner     delay
     pay_in_kind                           vault     at once
"""

from snekmate.auth import ownable
from snekmate.auth import ownable_2step

from interfaces import IBookControl
from interfaces import IBookFallback
from interfaces import IHedgeBook
from interfaces import IHedgeVault
from interfaces import IPriceOracle
from modules import book_ledger as ledger
from modules import fixed_point
from modules import limits as limit_words
from modules import packed
from modules import pause

implements: IBookControl

initializes: ownable
initializes: ownable_2step[ownable := ownable]
initializes: ledger

BPS: constant(uint256) = 10_000
BP_WAD: constant(uint256) = 10**14
DAY: constant(uint256) = 86_400  # seconds
RATIO_STEP_BPS: constant(uint256) = 2_500  # the ratio moves so much in a day
MAX_VENUES: constant(uint256) = 4


@deploy
def __init__(parts: IBookControl.Parts):
    """
    @param parts What the book works with.
    """
    ledger.__init__(parts)
    ownable.__init__()
    ownable_2step.__init__()
    ownable._transfer_ownership(empty(address))


@external
@view
def parts() -> IBookControl.Parts:
    return IBookControl.Parts(
        asset=ledger.ASSET.address,
        quote=ledger.QUOTE.address,
        oracle=ledger.ORACLE.address,
        spot=ledger.SPOT.address,
        guard=ledger.GUARD.address,
    )


@external
@view
def fallback_terms() -> IHedgeBook.Fallback:
    """
    @notice When anyone may do the keeper's work, and for how much.
    """
    return ledger.fallback_terms()


@external
@view
def plan_hash(plan: IHedgeBook.Plan) -> bytes32:
    """
    @notice What a record says of its plan.
    """
    return staticcall ledger.GUARD.plan_hash(plan)


@external
@view
def sight(i: uint256, price_wad: uint256) -> IBookControl.Sight:
    """
    @notice The i-th venue as far as the book believes it.
    """
    sight: ledger.Sight = ledger.sight(i, ledger.records[i], price_wad)
    return IBookControl.Sight(
        answers=sight.noted_at != 0,
        lost=sight.lost,
        sound=sight.sound,
        value=sight.value,
        margin=sight.margin,
    )


@external
@view
def apart(price_wad: uint256) -> IBookControl.Apart:
    """
    @notice Idle quote and, at this price, what the venues are worth.
    """
    apart: IBookControl.Apart = IBookControl.Apart(
        idle_quote=ledger.idle_quote(), venues_value=0, answers=True
    )
    for i: uint256 in range(ledger.venue_count(), bound=MAX_VENUES):
        sight: ledger.Sight = ledger.sight(i, ledger.records[i], price_wad)
        apart.venues_value += fixed_point.positive_part(sight.value)
        apart.answers = apart.answers and sight.noted_at != 0
    return apart


@external
@view
def last_price_at() -> uint256:
    """
    @notice When the book last saw a good price, Unix seconds.
    """
    return packed.part(ledger.seen, 112, 40)


# The vault's


@external
def pay_in_kind(part: uint256, whole: uint256, receiver: address) -> uint256:
    """
    @notice Send a share of the idle quote, rounded down, while there is no price.
    """
    assert msg.sender == ledger.vault().address, "book: caller is not the vault"
    quote: uint256 = fixed_point.mul_div_down(ledger.idle_quote(), part, whole)
    if quote != 0:
        ledger.spend_quote(quote)
        log IHedgeBook.QuotePaidInKind(
            receiver=receiver, quote=quote, idle_quote_after=ledger.idle_quote()
        )
        assert extcall ledger.QUOTE.transfer(
            receiver, quote, default_return_value=True
        ), "book: transfer failed"
    return quote


# Open to all


@external
def flag() -> uint256:
    price_wad: uint256 = (staticcall ledger.ORACLE.read()).price_wad
    records: uint256[MAX_VENUES] = ledger.records_now()
    scene: ledger.Scene = ledger.scene(staticcall ledger.vault().idle_assets(), records, price_wad)
    drift_wad: uint256 = scene.position.drift_wad
    inside: bool = drift_wad <= limit_words.inner_band_bps(ledger.bands) * BP_WAD
    for i: uint256 in range(ledger.venue_count(), bound=MAX_VENUES):
        if scene.lost[i]:
            ledger.log_lost(records[i], scene.position.margins[i], i)
        if scene.noted_at[i] != 0 and not scene.short[i] and (inside or not scene.lost[i]):
            ledger.records[i] = ledger.noted(scene, i)
    flagged_at: uint256 = 0
    if ledger.due(scene.position):
        flagged_at = ledger.flagged_at()
        if flagged_at == 0:
            flagged_at = block.timestamp
    ledger.see(price_wad, flagged_at)
    log IHedgeBook.Flagged(flagged_at=flagged_at, drift_wad=drift_wad, price_wad=price_wad)
    return flagged_at


# Reentrant: it only reads until the book, called back, takes the lock.
@external
@reentrant
def fall_back(leg: IHedgeBook.Leg, reward: uint256, receiver: address):
    assert receiver not in [empty(address), self, ledger.vault().address], "book: bad receiver"
    assert reward <= self._reward_now(), "book: reward too high"
    takes: bool = leg.margin_assets < 0 or leg.margin_quote < 0
    assert ledger.unwinds() or not takes, "book: fallback takes no margin"
    nonce: uint256 = packed.part(ledger.clock, ledger.NONCE_AT, 32)
    plan: IHedgeBook.Plan = IHedgeBook.Plan(
        nonce=nonce,
        deadline=block.timestamp,
        decision_id=keccak256(abi_encode(msg.sender, nonce)),
        legs=[leg],
        spot_after=0,
        spot_assets=0,
        spot_limit_price_wad=0,
    )
    extcall IBookFallback(self).carry_out(plan, msg.sender, reward, receiver)


@internal
@view
def _reward_now() -> uint256:
    """
    @dev Zero at the end of the grace period, at its most a ramp later.
    """
    flagged_at: uint256 = ledger.flagged_at()
    assert flagged_at != 0, "book: not flagged"
    terms: IHedgeBook.Fallback = ledger.fallback_terms()
    ready_at: uint256 = flagged_at + terms.grace_secs
    assert block.timestamp >= ready_at, "book: the keeper has time left"
    elapsed: uint256 = min(block.timestamp - ready_at, terms.ramp_secs)
    return fixed_point.mul_div_down(terms.max_reward, elapsed, terms.ramp_secs)


# Owner and guardian


@external
def start_unwind():
    """
    @notice Make no hedge the target, for good: nobody enters, plans only shrink positions.
        Guardian or owner.
    @dev The keeper carries it out within all limits, or anybody once he is late.
    """
    self._only_guardian_or_owner()
    assert not ledger.unwinds(), "book: unwinding already"
    ledger.set_ratio_bounds(0, 0)
    ledger.set_ratio(0)
    ledger.target |= 1 << ledger.UNWINDS_AT
    log IHedgeBook.UnwindStarted(sender=msg.sender)


@external
def set_fallback(terms: IHedgeBook.Fallback):
    """
    @notice Set when anyone may do the keeper's work, and for how much. Owner only.
    """
    ownable._check_owner()
    ledger.set_fallback(terms)


@external
def set_vault(vault: address):
    """
    @notice Tell the book its vault, once. Owner only.
    """
    ownable._check_owner()
    assert ledger.vault().address == empty(address), "book: vault is set"
    assert vault != empty(address), "book: vault is zero"
    assert staticcall IHedgeVault(vault).book() == self, "book: vault of another book"
    ledger.purse = convert(vault, uint256)
    self._check_base_charge(ledger.hedge_ratio_bps())
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
        self,
        ledger.vault().address,
        ledger.SPOT.address,
        ledger.ASSET.address,
        ledger.QUOTE.address,
    ], "book: not a venue"
    assert allotment_bps <= BPS, "book: allotment over 100 %"
    count: uint256 = ledger.venue_count()
    assert count < MAX_VENUES, "book: too many venues"
    assert ledger.index_of(venue) == MAX_VENUES, "book: venue is registered"
    ledger.venue_words[count] = ledger.venue_word(venue, allotment_bps)
    ledger.records[count] = ledger.record(0, 0, block.timestamp - DAY)  # a day's credit
    ledger.target = packed.replace(ledger.target, count + 1, 104, 8)
    log IHedgeBook.VenueAdded(venue=venue, allotment_bps=allotment_bps)


@external
def set_allotment(venue: address, allotment_bps: uint256):
    """
    @notice Change how much of NAV may be at a venue; zero lets it only shrink. Owner; the
        guardian to less than it is.
    """
    self._only_guardian_or_owner()
    assert allotment_bps <= BPS, "book: allotment over 100 %"
    i: uint256 = ledger.known_index_of(venue)
    allotment_before_bps: uint256 = packed.part(ledger.venue_words[i], 160, 16)
    if allotment_bps >= allotment_before_bps:
        ownable._check_owner()
    ledger.venue_words[i] = ledger.venue_word(venue, allotment_bps)
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
    ledger.buckets = staticcall ledger.GUARD.leaked(ledger.buckets, ledger.limits())
    ledger.set_limits(limits)


@external
def set_hedge_ratio_bounds(min_bps: uint256, max_bps: uint256):
    """
    @notice Set where the hedge ratio may be; it must be there now. Owner only.
    """
    ownable._check_owner()
    assert not ledger.unwinds(), "book: unwinding"
    ledger.set_ratio_bounds(min_bps, max_bps)
    ledger.check_ratio(ledger.hedge_ratio_bps())


@external
def set_hedge_ratio(ratio_bps: uint256):
    """
    @notice Set the share of the price risk that is hedged. Owner only.
    @dev Moves by at most RATIO_STEP_BPS in a day, in proportion to the time since the last
         change, and only while the vault's base charge covers it.
    """
    ownable._check_owner()
    assert not ledger.unwinds(), "book: unwinding"
    elapsed: uint256 = min(block.timestamp - packed.part(ledger.target, 48, 40), DAY)
    allowed: uint256 = fixed_point.mul_div_down(RATIO_STEP_BPS, elapsed, DAY)
    ratio_before_bps: uint256 = ledger.hedge_ratio_bps()
    step: uint256 = max(ratio_before_bps, ratio_bps) - min(ratio_before_bps, ratio_bps)
    assert step <= allowed, "book: ratio changed too fast"
    self._check_base_charge(ratio_bps)
    ledger.set_ratio(ratio_bps)


@external
def set_keeper(keeper: address):
    """
    @notice Replace the keeper. Owner only.
    """
    ownable._check_owner()
    ledger.set_keeper(keeper)


@external
def set_guardian(guardian: address):
    """
    @notice Replace the guardian, who pauses the vault's entry as well. Owner only.
    """
    ownable._check_owner()
    ledger.set_guardian(guardian)


@external
def pause_rebalancing(duration_secs: uint256):
    """
    @notice Let only top-ups and reductions through, for at most 72 hours. Guardian only.
    """
    word: uint256 = ledger.guardian_word
    assert msg.sender == ledger.address_in(word), "book: caller is not guardian"
    paused_until: uint256 = pause.until(duration_secs, packed.part(word, 160, 40))
    ledger.guardian_word = packed.replace(word, pause.ready_at(paused_until), 160, 40)
    self._set_pause(paused_until)


@external
def lift_rebalancing_pause():
    """
    @notice End a pause of rebalancing. Guardian or owner. The rest before the next one stays.
    """
    self._only_guardian_or_owner()
    self._set_pause(0)


@internal
def _only_guardian_or_owner():
    if msg.sender != ledger.address_in(ledger.guardian_word):
        ownable._check_owner()


@internal
@view
def _check_base_charge(ratio_bps: uint256):
    """
    @dev A price that lags by the thresholds of its feeds must not be worth trading against.
    """
    least: uint256 = fixed_point.mul_div_up(
        ratio_bps, staticcall ledger.ORACLE.deviation_thresholds_bps(), BPS
    )
    charge: uint256 = staticcall ledger.vault().base_charge_bps()
    assert charge >= least, "book: base charge too low"


@internal
def _set_pause(paused_until: uint256):
    ledger.clock = packed.replace(ledger.clock, paused_until, 224, 32)
    log IHedgeBook.RebalancingPaused(paused_until=paused_until)
