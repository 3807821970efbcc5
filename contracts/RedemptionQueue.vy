# SPDX-License-Identifier: MIT
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
"""
@title Exits that wait their turn: first come, first served
@notice Holds the shares of those who wait and the assets of those who were served. What is
     reserved for an owner goes to him and to nobody else, so that who may not be paid, as a frozen
     account, stops only himself. Anyone may run the queue and anyone may have a claim paid.
@dev A request is filled at the price of the moment, in an oracle round that began more than DELAY
     after it, so that nobody knows its price when he asks. In the first such round it bears no
     base charge, which covers prices that somebody picked; in a later one it does, because by then
     the moment was a choice. Rounds are dated by the asset's feed itself: round r is the first
     after t if r - 1 was published at t or before, and r after t. A feed that cannot say when
     r - 1 was, as after a change of its phase, frees nobody from the charge.

     FlowRules says what each request gets. A part may be filled, of at least MIN_SHARES; the first
     that has to wait makes those behind it wait. A request whose turn comes while all of it is
     worth less than its minimum leaves the queue with its shares, so that a minimum nobody can meet
     blocks nobody. When it is made, a minimum may not be over the value of then, or one could
     keep the vault's liquid assets from exits at once without ever leaving.

     Who has waited CANCEL_DELAY, more than DELAY, may take his shares back. Until then he is bound,
     or a request would be a free option.

     A run looks at no more requests than it is asked to, MAX_ORDERS at most; cancelled ones count.
@custom:units Asset amounts and shares in raw units under 2**128, times in Unix seconds, premia WAD.
@custom:rounding As FlowRules.
@custom:halt It has no switch and no owner. Without a good price, while equity is not positive and
     while the premium is away from its mean nothing is filled; requests, cancelling and claims go
     on.
@custom:access
     request, cancel, process, claim  anyone  at once
"""

from ethereum.ercs import IERC20

from interfaces import IBookFlows
from interfaces import IFlowRules
from interfaces import IHedgeVault
from interfaces import IRedemptionQueue
from modules import packed

implements: IRedemptionQueue


struct Feed:  # as PriceOracle.vy has it
    source: address
    scale: uint256
    max_age: uint256


struct Round:
    id: uint256
    updated_at: uint256  # Unix seconds; zero when the feed has no such round
    updated_before_at: uint256  # the same of the round before


interface FeedsOfOracle:
    def feeds() -> (Feed, Feed, Feed, Feed): view


MAX_ORDERS: constant(uint256) = 50
MAX_DELAY: constant(uint256) = 7 * 86_400  # seconds; longer would be a lock-up
MAX_TOLERANCE: constant(uint256) = 10**16  # WAD; a premium of 1 % off its mean is being pushed
MAX_AMOUNT: constant(uint256) = 2**128 - 1
ROUND_BYTES: constant(uint256) = 5 * 32
MAX_FEED_GAS: constant(uint256) = 300_000  # a proxied feed needs some 30,000

BOOK: immutable(IBookFlows)
ASSET: immutable(IERC20)
ASSET_FEED: public(immutable(address))
DELAY: public(immutable(uint256))  # seconds
CANCEL_DELAY: public(immutable(uint256))  # seconds
MIN_SHARES: public(immutable(uint256))
PREMIUM_TOLERANCE_WAD: public(immutable(uint256))

_line: uint256  # first 64 | count 64 | pending shares 128
_owners: HashMap[uint256, uint256]  # owner 160 | requested at 40
_amounts: HashMap[uint256, uint256]  # shares 128 | min assets 128
reserved_assets: public(uint256)
claim_of: public(HashMap[address, uint256])


@deploy
def __init__(
    book: address,
    delay_secs: uint256,
    cancel_delay_secs: uint256,
    min_shares: uint256,
    premium_tolerance_wad: uint256,
):
    """
    @param book The HedgeBook whose vault this queue is of; the vault is built on both.
    @param delay_secs From a request until a round of the feed may price it.
    @param cancel_delay_secs From a request until it may be taken back.
    @param min_shares The least that is requested, or filled in part.
    @param premium_tolerance_wad How far premium and mean premium may differ at a fill.
    """
    assert book != empty(address), "queue: book is zero"
    assert 0 < delay_secs and delay_secs <= MAX_DELAY, "queue: delay"
    assert delay_secs < cancel_delay_secs, "queue: cancel delay"
    assert cancel_delay_secs <= MAX_DELAY, "queue: cancel delay"
    assert 0 < min_shares and min_shares <= MAX_AMOUNT, "queue: minimum shares"
    assert 0 < premium_tolerance_wad, "queue: premium tolerance"
    assert premium_tolerance_wad <= MAX_TOLERANCE, "queue: premium tolerance"
    BOOK = IBookFlows(book)
    ASSET = IERC20(staticcall IBookFlows(book).asset())
    oracle: address = staticcall IBookFlows(book).oracle()
    ASSET_FEED = (staticcall FeedsOfOracle(oracle).feeds())[0].source
    DELAY = delay_secs
    CANCEL_DELAY = cancel_delay_secs
    MIN_SHARES = min_shares
    PREMIUM_TOLERANCE_WAD = premium_tolerance_wad


# ---------------------------------------------------------------------------------------------
# Those who wait
# ---------------------------------------------------------------------------------------------


@external
def request(shares: uint256, min_assets: uint256) -> uint256:
    """
    @notice Put the caller's shares, pulled by allowance, at the end of the queue.
    @param min_assets The least that all of them are to bring; no more than they are worth now.
    @return Number of the request.
    """
    assert MIN_SHARES <= shares, "queue: under minimum shares"
    assert shares <= MAX_AMOUNT, "queue: shares out of range"
    vault: address = self._vault()
    if min_assets != 0:
        most: uint256 = staticcall IHedgeVault(vault).convertToAssets(shares)
        assert min_assets <= most, "queue: minimum over the value"
    line: uint256 = self._line
    id: uint256 = packed.part(line, 64, 64)
    pending: uint256 = packed.part(line, 128, 128) + shares
    self._line = packed.replace(self._with_pending(line, pending), id + 1, 64, 64)
    self._owners[id] = convert(msg.sender, uint256) | packed.place(block.timestamp, 160, 40)
    self._amounts[id] = packed.place(shares, 0, 128) | packed.place(min_assets, 128, 128)
    log IRedemptionQueue.RedemptionRequested(
        id=id,
        owner=msg.sender,
        shares=shares,
        min_assets=min_assets,
        pending_shares_after=pending,
    )
    assert extcall IERC20(vault).transferFrom(msg.sender, self, shares), "queue: transfer failed"
    return id


@external
def cancel(id: uint256):
    """
    @notice Take back what was not filled. The owner's, after CANCEL_DELAY.
    """
    waiting: IRedemptionQueue.Request = self._request(id)
    assert waiting.shares != 0, "queue: nothing waits"
    assert msg.sender == waiting.owner, "queue: caller is not the owner"
    assert block.timestamp >= waiting.requested_at + CANCEL_DELAY, "queue: too early"
    self._amounts[id] = 0
    line: uint256 = self._line
    pending: uint256 = packed.part(line, 128, 128) - waiting.shares
    self._line = self._with_pending(line, pending)
    log IRedemptionQueue.RedemptionCancelled(
        id=id,
        owner=waiting.owner,
        shares=waiting.shares,
        pending_shares_after=pending,
    )
    self._return(self._vault(), waiting.owner, waiting.shares)


# ---------------------------------------------------------------------------------------------
# Open to all
# ---------------------------------------------------------------------------------------------


@external
def process(most: uint256) -> uint256:
    """
    @notice Serve the requests whose turn it is, as far as the vault's liquid assets go.
    @dev Reverts when it would change nothing.
    @param most How many requests to look at; MAX_ORDERS at most.
    @return How many were filled, in whole or in part.
    """
    line: uint256 = self._line
    first: uint256 = packed.part(line, 0, 64)
    end: uint256 = min(first + min(most, MAX_ORDERS), packed.part(line, 64, 64))
    current: Round = self._round()
    orders: DynArray[IFlowRules.Order, MAX_ORDERS] = []
    ids: DynArray[uint256, MAX_ORDERS] = []
    start: uint256 = first
    for n: uint256 in range(first, end, bound=MAX_ORDERS):
        waiting: IRedemptionQueue.Request = self._request(n)
        if waiting.shares == 0:
            if len(ids) == 0:
                start = n + 1
            continue
        due_at: uint256 = waiting.requested_at + DELAY
        if current.updated_at <= due_at:
            break
        ids.append(n)
        orders.append(
            IFlowRules.Order(
                shares=waiting.shares,
                min_assets=waiting.min_assets,
                base_free=current.updated_before_at != 0 and current.updated_before_at <= due_at,
            )
        )
    if len(ids) == 0:
        assert start != first, "queue: nothing is due"
        self._line = packed.replace(line, start, 0, 64)
        return 0
    return self._served(packed.replace(line, start, 0, 64), ids, orders, current.id)


@external
def claim(owner: address) -> uint256:
    """
    @notice Pay an owner what is reserved for him.
    @return Assets paid.
    """
    assets: uint256 = self.claim_of[owner]
    assert assets != 0, "queue: nothing to claim"
    reserved: uint256 = self.reserved_assets - assets
    self.claim_of[owner] = 0
    self.reserved_assets = reserved
    log IRedemptionQueue.ClaimPaid(
        owner=owner, caller=msg.sender, assets=assets, reserved_assets_after=reserved
    )
    assert extcall ASSET.transfer(
        owner, assets, default_return_value=True
    ), "queue: transfer failed"
    return assets


# ---------------------------------------------------------------------------------------------
# Views
# ---------------------------------------------------------------------------------------------


@external
@view
def request_of(id: uint256) -> IRedemptionQueue.Request:
    """
    @notice What is left of a request; one that is over has no shares.
    """
    return self._request(id)


@external
@view
def first() -> uint256:
    """
    @notice Where the next run begins: everything before has left the queue.
    """
    return packed.part(self._line, 0, 64)


@external
@view
def count() -> uint256:
    """
    @notice How many requests were ever made; the next one gets this number.
    """
    return packed.part(self._line, 64, 64)


@external
@view
@reentrant
def pending_shares() -> uint256:
    """
    @notice Shares of all requests that wait. Shares sent here without a request do not count.
    @dev Whoever is called in the middle of a call here finds it written already, or, inside
        `fill`, still too large, and the vault's own lock shut.
    """
    return packed.part(self._line, 128, 128)


@external
@view
def book() -> address:
    return BOOK.address


@external
@view
def vault() -> address:
    return self._vault()


# ---------------------------------------------------------------------------------------------
# Serving
# ---------------------------------------------------------------------------------------------


@internal
def _served(
    line: uint256,
    ids: DynArray[uint256, MAX_ORDERS],
    orders: DynArray[IFlowRules.Order, MAX_ORDERS],
    round_id: uint256,
) -> uint256:
    """
    @dev Shares are burned and assets arrive inside `fill`; afterwards each request gets its part.
    """
    vault: address = self._vault()
    price_wad: uint256 = 0
    fills: DynArray[IFlowRules.Fill, MAX_ORDERS] = []
    price_wad, fills = extcall IHedgeVault(vault).fill(
        IFlowRules.Terms(
            min_shares=MIN_SHARES,
            premium_tolerance_wad=PREMIUM_TOLERANCE_WAD,
        ),
        orders,
    )
    assert len(fills) != 0, "queue: not enough liquid"
    first: uint256 = packed.part(line, 0, 64)
    pending: uint256 = packed.part(line, 128, 128)
    reserved: uint256 = self.reserved_assets
    filled: uint256 = 0
    for n: uint256 in range(len(fills), bound=MAX_ORDERS):
        fill: IFlowRules.Fill = fills[n]
        left: uint256 = orders[n].shares - fill.shares
        if left == 0 or fill.lapsed:
            first = ids[n] + 1
        if fill.lapsed:
            pending -= left
            self._lapse(ids[n], left, price_wad, round_id, pending)
        else:
            filled += 1
            pending -= fill.shares
            reserved += fill.assets
            self._book(ids[n], orders[n], fill, price_wad, round_id, pending, reserved)
    self._line = packed.replace(self._with_pending(line, pending), first, 0, 64)
    self.reserved_assets = reserved
    assert staticcall ASSET.balanceOf(self) >= reserved, "queue: assets not received"
    for n: uint256 in range(len(fills), bound=MAX_ORDERS):
        if fills[n].lapsed:
            self._return(vault, self._owner(ids[n]), orders[n].shares)
    return filled


@internal
def _book(
    id: uint256,
    order: IFlowRules.Order,
    fill: IFlowRules.Fill,
    price_wad: uint256,
    round_id: uint256,
    pending: uint256,
    reserved: uint256,
):
    """
    @dev What was received counts towards the minimum of the whole.
    """
    owner: address = self._owner(id)
    shares: uint256 = order.shares - fill.shares
    min_assets: uint256 = order.min_assets - min(order.min_assets, fill.assets)
    if shares == 0:
        min_assets = 0
    claim: uint256 = self.claim_of[owner] + fill.assets
    self._amounts[id] = packed.place(shares, 0, 128) | packed.place(min_assets, 128, 128)
    self.claim_of[owner] = claim
    log IRedemptionQueue.RedemptionFilled(
        id=id,
        owner=owner,
        shares=fill.shares,
        assets=fill.assets,
        impact_charge=fill.impact_charge,
        base_charge=fill.base_charge,
        price_wad=price_wad,
        oracle_round_id=round_id,
        shares_after=shares,
        min_assets_after=min_assets,
        claim_after=claim,
        pending_shares_after=pending,
        reserved_assets_after=reserved,
    )


@internal
def _lapse(id: uint256, shares: uint256, price_wad: uint256, round_id: uint256, pending: uint256):
    self._amounts[id] = 0
    log IRedemptionQueue.RedemptionLapsed(
        id=id,
        owner=self._owner(id),
        shares=shares,
        price_wad=price_wad,
        oracle_round_id=round_id,
        pending_shares_after=pending,
    )


@internal
def _return(vault: address, owner: address, shares: uint256):
    assert extcall IERC20(vault).transfer(owner, shares), "queue: transfer failed"


@internal
@view
def _vault() -> address:
    return staticcall BOOK.vault()


# ---------------------------------------------------------------------------------------------
# Requests
# ---------------------------------------------------------------------------------------------


@internal
@view
def _request(id: uint256) -> IRedemptionQueue.Request:
    amounts: uint256 = self._amounts[id]
    if amounts == 0:
        return empty(IRedemptionQueue.Request)
    word: uint256 = self._owners[id]
    return IRedemptionQueue.Request(
        owner=self._address_in(word),
        shares=packed.part(amounts, 0, 128),
        min_assets=packed.part(amounts, 128, 128),
        requested_at=packed.part(word, 160, 40),
    )


@internal
@view
def _owner(id: uint256) -> address:
    return self._address_in(self._owners[id])


@internal
@pure
def _address_in(word: uint256) -> address:
    """
    @dev The lowest 160 bits.
    """
    return convert(packed.part(word, 0, 160), address)


@internal
@pure
def _with_pending(line: uint256, shares: uint256) -> uint256:
    return packed.replace(line, shares, 128, 128)


# ---------------------------------------------------------------------------------------------
# Rounds of the asset's feed
# ---------------------------------------------------------------------------------------------


@internal
@view
def _round() -> Round:
    """
    @dev Only when the feed answers at all; whether its price is good is the oracle's to say.
    """
    id: uint256 = 0
    updated_at: uint256 = 0
    id, updated_at = self._dated(method_id("latestRoundData()"))
    if id == 0:
        return empty(Round)
    call: Bytes[36] = abi_encode(id - 1, method_id=method_id("getRoundData(uint80)"))
    return Round(id=id, updated_at=updated_at, updated_before_at=self._dated(call)[1])


@internal
@view
def _dated(call: Bytes[36]) -> (uint256, uint256):
    """
    @return Number and time of a round; zeros when the feed has none.
    """
    success: bool = False
    words: Bytes[ROUND_BYTES] = b""
    success, words = raw_call(
        ASSET_FEED,
        call,
        max_outsize=ROUND_BYTES,
        gas=MAX_FEED_GAS,
        is_static_call=True,
        revert_on_failure=False,
    )
    if not success or len(words) != ROUND_BYTES:
        return 0, 0
    return extract32(words, 0, output_type=uint256), extract32(words, 96, output_type=uint256)
