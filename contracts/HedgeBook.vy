# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
"""
@title One vault's positions, their value, and what plans and exits do with them
@notice Holds the vault's quote and its accounts at the venues; idle assets are in the vault.
     Sends funds only to the vault, to registered venues, to the spot market and, as a reward, to
     who did the keeper's work in his place.
@dev The keeper may propose any plan. HedgeGuard, which holds nothing, says what kind of plan it
     is and whether the result stands; the rules are written there. What needs the chain is
     checked here: nonce, deadline, a good price, each fill against the index, and that tokens
     said to have arrived did. What a venue says is believed as far as modules/book_ledger.vy
     says. Everything that is not here (owner, guardian, fallback) is in BookControl, whose code
     runs on this storage.

     With price S, ratio h, E equity and D delta in asset units,
     gap = D - (1 - h) * E and drift = |gap| / E.

     Lock: every priced call of the vault enters a locked call here and every valuation here
     a locked view of the vault, so whoever is called in the middle of one finds both shut. The
     views marked reentrant read what no call in progress leaves half done.
@custom:units Asset amounts and sizes in raw asset units under 2**112, quote amounts in raw quote
     units (idle quote under 2**96), prices WAD between 1e6 and 1e30. Long positive.
@custom:rounding Value and E down, drift up, bounds on fills down.
@custom:halt The guardian pauses rebalancing (modules/pause.vy); plans that only add margin or
     only shrink positions still pass, and so do exits, which the vault runs through here. He may
     start the unwinding, which nobody takes back: the target is no hedge, nobody enters, plans
     only shrink positions. Without a good price nothing moves. A venue that fails, lies or has
     closed a position stops neither the others nor exits, only entry. The owner replaces the
     keeper.
@custom:access
     rebalance               keeper   at once
     open_flow, free_margin  vault    at once
     carry_out               itself   at once
     transfer_ownership      owner    delay
     accept_ownership        offered  at once
     all else                as BookControl says
"""

from snekmate.auth import ownable
from snekmate.auth import ownable_2step

from interfaces import IBookControl
from interfaces import IBookFallback
from interfaces import IBookFlows
from interfaces import IHedgeBook
from interfaces import IHedgeGuard
from interfaces import IHedgeVault
from interfaces import IHedgeVenue
from interfaces import IPriceOracle
from modules import book_ledger as ledger
from modules import limits as limit_words
from modules import packed

implements: IHedgeBook
implements: IBookFallback
implements: IBookFlows

initializes: ownable
initializes: ownable_2step[ownable := ownable]
initializes: ledger

exports: (
    ownable_2step.owner,
    ownable_2step.pending_owner,
    ownable_2step.transfer_ownership,
    ownable_2step.accept_ownership,
)

MAX_VENUES: constant(uint256) = 4
WITHDRAWAL_GAS: constant(uint256) = 600_000  # what a venue may burn to pay out
MAX_ANSWER: constant(uint256) = 1_024  # bytes that a call of `NEXT` returns at most

NEXT: public(immutable(address))


@deploy
def __init__(
    next: address,
    keeper: address,
    guardian: address,
    hedge_ratio_bps: uint256,
    min_hedge_ratio_bps: uint256,
    max_hedge_ratio_bps: uint256,
    limits: IHedgeBook.Limits,
    fallback_terms: IHedgeBook.Fallback,
):
    """
    @param next `BookControl`, which has the calls that are not here; the parts are taken from it.
        It may write all storage.
    @param hedge_ratio_bps Share of the price risk to remove, between the two bounds.
    """
    ledger.__init__(staticcall IBookControl(next).parts())
    NEXT = next
    ownable.__init__()
    ownable_2step.__init__()
    ledger.set_keeper(keeper)
    ledger.set_guardian(guardian)
    ledger.set_limits(limits)
    ledger.set_fallback(fallback_terms)
    ledger.set_ratio_bounds(min_hedge_ratio_bps, max_hedge_ratio_bps)
    ledger.set_ratio(hedge_ratio_bps)


# Reentrant: the code that runs takes the lock, in the same word of storage.
@external
@reentrant
@raw_return
def __default__() -> Bytes[MAX_ANSWER]:
    return raw_call(NEXT, msg.data, max_outsize=MAX_ANSWER, is_delegate_call=True)


# The keeper's


@external
def rebalance(plan: IHedgeBook.Plan):
    """
    @notice Carry out a plan, if its result is within the limits.
    @dev Keeper only. See the file's @dev for the rules.
    """
    clock: uint256 = ledger.clock
    assert msg.sender == ledger.address_in(clock), "book: caller is not the keeper"
    assert plan.nonce == packed.part(clock, ledger.NONCE_AT, 32), "book: wrong nonce"
    assert block.timestamp <= plan.deadline, "book: deadline passed"
    ledger.carry_out(plan, msg.sender, 0, empty(address))


@external
def carry_out(plan: IHedgeBook.Plan, sender: address, reward: uint256, receiver: address):
    assert msg.sender == self, "book: caller is not the book"
    ledger.carry_out(plan, sender, reward, receiver)


# The vault's


@external
def open_flow(idle_assets: uint256) -> IBookFlows.Flow:
    """
    @notice The book's side of the valuation now; the price is stored as the last good one.
    @dev What was flagged and is in order again is cleared.
    @param idle_assets What the vault holds, which cannot be asked in the middle of a call.
    """
    self._only_vault()
    price: IPriceOracle.Price = staticcall ledger.ORACLE.read()
    flagged_at: uint256 = ledger.flagged_at()
    if flagged_at != 0 and not ledger.due(
        ledger.scene(idle_assets, ledger.records_now(), price.price_wad).position
    ):
        flagged_at = 0
    ledger.see(price.price_wad, flagged_at)
    return ledger.flow(True, price.price_wad)


@external
def free_margin(assets: uint256, price_wad: uint256) -> uint256:
    """
    @notice Take asset margin out of the venues, in their order, down to the margin target.
    @dev A venue that refuses is passed over: the others and what is idle are still there.
    @return What was sent to the vault, at most `assets`.
    """
    self._only_vault()
    freed: uint256 = 0
    for i: uint256 in range(ledger.venue_count(), bound=MAX_VENUES):
        venue: IHedgeVenue = ledger.venue(i)
        free: uint256 = min(self._free_assets(venue, price_wad), assets - freed)
        if free != 0 and self._withdrawn(venue, free):
            freed += free
            left: uint256 = ledger.after_order(
                ledger.records[i], -convert(free, int256), 0, 0, price_wad
            )
            ledger.records[i] = left
            margin: IHedgeVenue.Margin = ledger.sight(i, left, price_wad).margin
            ledger.log_margin(
                empty(bytes32), venue.address, -convert(free, int256), 0, margin.assets
            )
    return freed


# Views


@external
@view
def valuation() -> IHedgeBook.Valuation:
    """
    @notice Everything the vault owns outside itself, at the oracle's price now.
    """
    price: IPriceOracle.Price = staticcall ledger.ORACLE.read()
    flow: IBookFlows.Flow = ledger.flow(True, price.price_wad)
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
    return ledger.flow(ok, price_wad)


@external
@view
def free_assets(price_wad: uint256) -> uint256:
    """
    @notice Asset margin that exits may take now, rounded down.
    """
    free: uint256 = 0
    for i: uint256 in range(ledger.venue_count(), bound=MAX_VENUES):
        free += self._free_assets(ledger.venue(i), price_wad)
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
    if price_wad != 0 and ledger.vault().address != empty(address):
        idle_assets: uint256 = staticcall ledger.vault().idle_assets()
        nav = ledger.scene(idle_assets, ledger.records_now(), price_wad).position.nav
    cost_used: uint256 = 0
    turnover_used: uint256 = 0
    neutral_turnover_used: uint256 = 0
    cost_used, turnover_used, neutral_turnover_used = staticcall ledger.GUARD.used(
        ledger.buckets, nav, price_wad, ledger.PRICE_DIVISOR, ledger.limits()
    )
    clock: uint256 = ledger.clock
    target: uint256 = ledger.target
    return IHedgeBook.State(
        nonce=packed.part(clock, 160, 32),
        audit_head=ledger.audit_head,
        hedge_ratio_bps=packed.part(target, 0, 16),
        min_hedge_ratio_bps=packed.part(target, 16, 16),
        max_hedge_ratio_bps=packed.part(target, 32, 16),
        hedge_ratio_set_at=packed.part(target, 48, 40),
        idle_quote=ledger.idle_quote(),
        cost_used=cost_used,
        turnover_used=turnover_used,
        neutral_turnover_used=neutral_turnover_used,
        rebalanced_at=packed.part(clock, 192, 32),
        paused_until=packed.part(clock, 224, 32),
        last_price_wad=packed.part(ledger.seen, 0, 112),
        last_price_at=packed.part(ledger.seen, 112, 40),
        flagged_at=ledger.flagged_at(),
        unwinds=ledger.unwinds(),
    )


@external
@view
def limits() -> IHedgeBook.Limits:
    return ledger.limits()


@external
@view
def hedge_ratio_bps() -> uint256:
    return ledger.hedge_ratio_bps()


@external
@view
def venue_count() -> uint256:
    return ledger.venue_count()


@external
@view
def venues(i: uint256) -> address:
    """
    @notice The i-th venue; zero beyond the last.
    """
    return ledger.venue(i).address


@external
@view
def allotment_bps(venue: address) -> uint256:
    return packed.part(ledger.venue_words[ledger.known_index_of(venue)], 160, 16)


@external
@view
def left(i: uint256) -> IHedgeBook.Left:
    """
    @notice What the book left at the i-th venue.
    """
    record: uint256 = ledger.records[i]
    return IHedgeBook.Left(
        exposure=ledger.exposure_of(record),
        cash=ledger.cash_of(record),
        noted_at=packed.part(record, ledger.NOTED_AT, 40),
    )


@external
@view
def vault() -> address:
    return ledger.vault().address


@external
@view
def keeper() -> address:
    return ledger.address_in(ledger.clock)


@external
@view
def guardian() -> address:
    return ledger.address_in(ledger.guardian_word)


@external
@view
def asset() -> address:
    return ledger.ASSET.address


@external
@view
def quote() -> address:
    return ledger.QUOTE.address


@external
@view
def oracle() -> address:
    return ledger.ORACLE.address


@external
@view
def spot() -> address:
    return ledger.SPOT.address


@external
@view
def guard() -> address:
    return ledger.GUARD.address


@external
@view
def price_divisor() -> uint256:
    return ledger.PRICE_DIVISOR


# Parts


@internal
@view
def _price_for_reading() -> (bool, uint256):
    """
    @return Whether the price is good now, and it, or the last good one.
    """
    ok: bool = False
    price: IPriceOracle.Price = empty(IPriceOracle.Price)
    reason: String[32] = ""
    ok, price, reason = staticcall ledger.ORACLE.try_read()
    if ok:
        return True, price.price_wad
    return False, packed.part(ledger.seen, 0, 112)


@internal
@view
def _free_assets(venue: IHedgeVenue, price_wad: uint256) -> uint256:
    """
    @dev Nothing at a venue that does not say.
    """
    answered: bool = False
    words: Bytes[32] = b""
    answered, words = raw_call(
        venue.address,
        abi_encode(
            self,
            price_wad,
            limit_words.margin_target_bps(ledger.bands),
            method_id=method_id("free_assets(address,uint256,uint256)"),
        ),
        max_outsize=32,
        gas=ledger.MARGIN_GAS,
        is_static_call=True,
        revert_on_failure=False,
    )
    return convert(words, uint256) if answered and len(words) == 32 else 0


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
            ledger.vault().address,
            method_id=method_id("withdraw(uint256,uint256,address)"),
        ),
        gas=WITHDRAWAL_GAS,
        revert_on_failure=False,
    )


@internal
@view
def _only_vault():
    assert msg.sender == ledger.vault().address, "book: caller is not the vault"
