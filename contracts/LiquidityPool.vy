# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
"""
@title The venue's other side: tokens of its providers, and who provided them
@notice Holds the quote that pays winners and the asset margin that liquidations sold to it.
     What traders' positions owe it or it owes them is booked at the venue (`pool_value`).
     Anybody enters and leaves by request, which anybody executes in a later oracle round.
@dev Shares are worth the closing value, what would be left if everybody closed on the curve:
     at the index a skew that anyone can push would inflate them (attack A-16). With E the
     equity and T all shares, now, and E', T' those at the request,

         minted = floor(min(quote * T / E, quote * T' / E'))
         paid   = floor(min(shares * E / T, shares * E' / T'))

     so E / T never falls because somebody enters or leaves, and what the price did in between
     is his loss or nothing. A leaver's value is paid as his part of the asset inventory in
     kind, the rest in quote. Shares that are to leave stay in T and bear losses until then.

     A request is due between `MIN_DELAY` and `WINDOW` seconds after it, in a later round of
     the oracle, at a price that was noted here `PRICE_STAND` seconds ago or more: then whoever
     waits for a moment has to let anyone else use it first. It stands no longer than that, or
     it would be an option on the moment (A-26), and can be cancelled at any time.

     Known bad accounts: the equity counts a debt as good until the account is liquidated.
     Liquidation is open, pays a reward, is complete where equity is gone and books the loss
     here at once, for every request together. So an exit is net of each failing account that
     one person cared to liquidate while the price stood; a list of accounts with the exit
     would be left empty by the one who leaves, and a right to contest it would come too late
     for an exit in the block of the price.

     Nobody holds more than zero and less than `MIN_HOLDING` shares, so T is zero or at least
     `MIN_HOLDING` = 10**quote decimals, and no dust of another stops the last from leaving.
     Rounding costs a provider less than one share, E / T <= E / MIN_HOLDING: who wants to take
     one unit that way has to give the pool 10**quote decimals units first.
@custom:units Raw asset and quote units, prices WAD, shares in quote units of the first
     provision.
@custom:rounding Shares minted and tokens paid down.
@custom:halt No switch. Without a good price nothing is requested or executed, and cancelling
     gives back what is in escrow; nothing here can stop the venue from being paid. Once the venue
     is wound up providers `leave` at any time, without a price, with their part of what claims
     left.
@custom:access
     request_provide, execute_provide, cancel_provide  anyone   at once
     request_remove, execute_remove, cancel_remove     anyone   at once
     leave, note_price                                 anyone   at once
     pay, book, hand_over                              venue    at once
     set_venue (once)                                  owner    delay
     transfer_ownership                                owner    delay
     accept_ownership                                  offered  at once
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from interfaces import ILiquidityPool
from interfaces import IPerpVenue
from interfaces import IPriceOracle
from interfaces import IVenueRecovery

from modules import fixed_point
from snekmate.auth import ownable
from snekmate.auth import ownable_2step

implements: ILiquidityPool

initializes: ownable
initializes: ownable_2step[ownable := ownable]

exports: (
    ownable_2step.owner,
    ownable_2step.pending_owner,
    ownable_2step.transfer_ownership,
    ownable_2step.accept_ownership,
)

ASSET: public(immutable(address))
QUOTE: public(immutable(address))
ORACLE: public(immutable(address))
PRICE_DIVISOR: immutable(int256)  # quote units = asset units * price_wad / PRICE_DIVISOR

PRICE_STAND: public(constant(uint256)) = 60  # seconds; five blocks to liquidate in
WOUND_UP: constant(uint256) = 3  # stage of the venue
MAX_WINDOW: constant(uint256) = 30 * 86_400  # seconds
MIN_DELAY: public(immutable(uint256))  # seconds from a request until it is due
WINDOW: public(immutable(uint256))  # seconds from a request until it can only be cancelled
MIN_HOLDING: public(immutable(uint256))  # shares, one whole quote of the first provision

venue: public(address)  # the one venue this pool stands behind; set once
quote_held: uint256  # by ledger
assets_held: uint256
quote_escrowed: public(uint256)  # of all requests to enter; no part of the above
shares_of: public(HashMap[address, uint256])  # without those that are to leave
total_shares: public(uint256)  # with them
provision_of: public(HashMap[address, ILiquidityPool.Provision])  # one an owner
removal_of: public(HashMap[address, ILiquidityPool.Removal])
noted_price: public(ILiquidityPool.NotedPrice)  # and since when it is known to stand


@deploy
def __init__(asset: address, quote: address, oracle: address, min_delay: uint256, window: uint256):
    """
    @param asset The token that is traded and may be margin; 6 to 18 decimals.
    @param quote The token that profit is paid in; 6 to 18 decimals.
    @param oracle The price that shares are valued at; the venue must use the same.
    @param min_delay Seconds from a request until it may be executed; 60 or more.
    @param window Seconds from a request until it can only be cancelled; twice `min_delay` to
        30 days. Long enough for a round of the feed, short because a leaver who is due may
        wait for his moment.
    """
    assert asset != empty(address), "pool: zero address"
    assert quote != empty(address), "pool: zero address"
    assert oracle != empty(address), "pool: zero address"
    asset_decimals: uint256 = convert(staticcall IERC20Detailed(asset).decimals(), uint256)
    quote_decimals: uint256 = convert(staticcall IERC20Detailed(quote).decimals(), uint256)
    assert asset_decimals >= 6 and asset_decimals <= 18, "pool: asset decimals"
    assert quote_decimals >= 6 and quote_decimals <= 18, "pool: quote decimals"
    assert min_delay >= PRICE_STAND and min_delay <= MAX_WINDOW, "pool: min delay"
    assert window >= 2 * min_delay and window <= MAX_WINDOW, "pool: window"
    ownable.__init__()
    ownable_2step.__init__()
    ASSET = asset
    QUOTE = quote
    ORACLE = oracle
    PRICE_DIVISOR = convert(10**(18 + asset_decimals - quote_decimals), int256)
    MIN_DELAY = min_delay
    WINDOW = window
    MIN_HOLDING = 10**quote_decimals


# Calls open to users: entering


@external
def request_provide(quote: uint256, min_shares: uint256):
    assert quote > 0, "pool: zero amount"
    assert self.provision_of[msg.sender].quote == 0, "pool: already requested"
    price: IPriceOracle.Price = self._note_price()
    supply: uint256 = self.total_shares
    equity: int256 = self._entry_equity(price.price_wad, supply)
    escrowed: uint256 = self.quote_escrowed
    self.quote_escrowed = escrowed + quote
    self.provision_of[msg.sender] = ILiquidityPool.Provision(
        quote=quote,
        min_shares=min_shares,
        equity=equity,
        total_shares=supply,
        round_id=price.round_id,
        requested_at=block.timestamp,
    )
    assert extcall IERC20(QUOTE).transferFrom(
        msg.sender, self, quote, default_return_value=True
    ), "pool: transfer failed"
    log ILiquidityPool.ProvisionRequested(
        provider=msg.sender,
        quote=quote,
        min_shares=min_shares,
        equity=equity,
        total_shares=supply,
        quote_escrowed_before=escrowed,
        quote_escrowed_after=escrowed + quote,
        price_wad=price.price_wad,
        oracle_round_id=price.round_id,
    )


@external
def execute_provide(owner: address) -> uint256:
    request: ILiquidityPool.Provision = self.provision_of[owner]
    assert request.quote > 0, "pool: nothing requested"
    price: IPriceOracle.Price = staticcall IPriceOracle(ORACLE).read()
    supply: uint256 = self.total_shares
    if supply > 0:  # otherwise there is nobody whom the moment could harm
        self._require_due(request.round_id, request.requested_at, price)
    equity: int256 = self._entry_equity(price.price_wad, supply)
    shares: uint256 = self._minted(request, equity, supply)
    assert shares > 0, "pool: zero shares"
    assert shares >= request.min_shares, "pool: under minimum shares"
    held: uint256 = self.shares_of[owner]
    self._require_holding(held + shares)
    self.provision_of[owner] = empty(ILiquidityPool.Provision)
    self.quote_escrowed -= request.quote
    self.quote_held += request.quote
    self.total_shares = supply + shares
    self.shares_of[owner] = held + shares
    log ILiquidityPool.LiquidityProvided(
        provider=owner,
        executor=msg.sender,
        quote=request.quote,
        shares=shares,
        equity_requested=request.equity,
        total_shares_requested=request.total_shares,
        equity_before=equity,
        total_shares_before=supply,
        total_shares_after=supply + shares,
        quote_held_after=self.quote_held,
        quote_escrowed_after=self.quote_escrowed,
        price_wad=price.price_wad,
        oracle_round_id=price.round_id,
    )
    return shares


@external
def cancel_provide() -> uint256:
    quote: uint256 = self.provision_of[msg.sender].quote
    assert quote > 0, "pool: nothing requested"
    self.provision_of[msg.sender] = empty(ILiquidityPool.Provision)
    escrowed: uint256 = self.quote_escrowed
    self.quote_escrowed = escrowed - quote
    self._send(QUOTE, msg.sender, quote)
    log ILiquidityPool.ProvisionCancelled(
        provider=msg.sender,
        quote=quote,
        quote_escrowed_before=escrowed,
        quote_escrowed_after=escrowed - quote,
    )
    return quote


# Calls open to users: leaving


@external
def request_remove(shares: uint256, min_quote: uint256, receiver: address):
    assert shares > 0, "pool: zero amount"
    assert receiver != empty(address), "pool: zero receiver"
    assert self.removal_of[msg.sender].shares == 0, "pool: already requested"
    held: uint256 = self.shares_of[msg.sender]
    assert shares <= held, "pool: not enough shares"
    self._require_holding(held - shares)
    price: IPriceOracle.Price = self._note_price()
    equity: int256 = self._equity(price.price_wad)
    assert equity > 0, "pool: insolvent"
    supply: uint256 = self.total_shares
    self.shares_of[msg.sender] = held - shares
    self.removal_of[msg.sender] = ILiquidityPool.Removal(
        shares=shares,
        min_quote=min_quote,
        receiver=receiver,
        equity=equity,
        total_shares=supply,
        round_id=price.round_id,
        requested_at=block.timestamp,
    )
    log ILiquidityPool.RemovalRequested(
        provider=msg.sender,
        receiver=receiver,
        shares=shares,
        min_quote=min_quote,
        equity=equity,
        total_shares=supply,
        shares_before=held,
        shares_after=held - shares,
        price_wad=price.price_wad,
        oracle_round_id=price.round_id,
    )


@external
def execute_remove(owner: address) -> (uint256, uint256):
    request: ILiquidityPool.Removal = self.removal_of[owner]
    assert request.shares > 0, "pool: nothing requested"
    price: IPriceOracle.Price = staticcall IPriceOracle(ORACLE).read()
    self._require_due(request.round_id, request.requested_at, price)
    # Traders' profit is paid out of the pool first, so that leaving cannot take its tokens.
    extcall IVenueRecovery(self.venue).settle()
    equity: int256 = self._equity(price.price_wad)
    assert equity > 0, "pool: insolvent"
    supply: uint256 = self.total_shares
    quote: uint256 = 0
    assets: uint256 = 0
    (quote, assets) = self._worth(request, equity, supply, price.price_wad)
    assert quote >= request.min_quote, "pool: under minimum quote"
    assert quote <= self.quote_held, "pool: not enough quote"
    self.removal_of[owner] = empty(ILiquidityPool.Removal)
    self.total_shares = supply - request.shares
    self.quote_held -= quote
    self.assets_held -= assets
    # What stays must still carry the skew that the venue let in on the strength of it.
    assert self._equity(price.price_wad) >= staticcall IPerpVenue(self.venue).pool_equity_required(
        price.price_wad
    ), "pool: skew needs the equity"
    self._send(QUOTE, request.receiver, quote)
    self._send(ASSET, request.receiver, assets)
    log ILiquidityPool.LiquidityRemoved(
        provider=owner,
        receiver=request.receiver,
        executor=msg.sender,
        shares=request.shares,
        quote=quote,
        assets=assets,
        equity_requested=request.equity,
        total_shares_requested=request.total_shares,
        equity_before=equity,
        total_shares_before=supply,
        total_shares_after=supply - request.shares,
        quote_held_after=self.quote_held,
        assets_held_after=self.assets_held,
        price_wad=price.price_wad,
        oracle_round_id=price.round_id,
    )
    return quote, assets


@external
def cancel_remove() -> uint256:
    shares: uint256 = self.removal_of[msg.sender].shares
    assert shares > 0, "pool: nothing requested"
    self.removal_of[msg.sender] = empty(ILiquidityPool.Removal)
    held: uint256 = self.shares_of[msg.sender]
    self.shares_of[msg.sender] = held + shares
    log ILiquidityPool.RemovalCancelled(
        provider=msg.sender, shares=shares, shares_before=held, shares_after=held + shares
    )
    return shares


@external
def leave(receiver: address) -> (uint256, uint256):
    assert receiver != empty(address), "pool: zero receiver"
    assert staticcall IVenueRecovery(self.venue).stage() == WOUND_UP, "pool: venue goes on"
    extcall IVenueRecovery(self.venue).settle()  # refused until claims are fixed
    shares: uint256 = self.shares_of[msg.sender] + self.removal_of[msg.sender].shares
    assert shares > 0, "pool: not enough shares"
    supply: uint256 = self.total_shares
    quote: uint256 = fixed_point.mul_div_down(self.quote_held, shares, supply)
    assets: uint256 = fixed_point.mul_div_down(self.assets_held, shares, supply)
    self.shares_of[msg.sender] = 0
    self.removal_of[msg.sender] = empty(ILiquidityPool.Removal)
    self.total_shares = supply - shares
    self.quote_held -= quote
    self.assets_held -= assets
    self._send(QUOTE, receiver, quote)
    self._send(ASSET, receiver, assets)
    log ILiquidityPool.ProviderLeft(
        provider=msg.sender,
        receiver=receiver,
        shares=shares,
        quote=quote,
        assets=assets,
        total_shares_before=supply,
        total_shares_after=supply - shares,
        quote_held_after=self.quote_held,
        assets_held_after=self.assets_held,
    )
    return quote, assets


@external
def note_price():
    price: IPriceOracle.Price = self._note_price()


# Owner calls


@external
def set_venue(venue_address: address):
    """
    @notice Name the venue that may draw on this pool. Owner only, once.
    @param venue_address A venue built on this pool, its tokens and its oracle.
    """
    ownable._check_owner()
    assert self.venue == empty(address), "pool: venue already set"
    assert venue_address != empty(address), "pool: zero address"
    assert staticcall IPerpVenue(venue_address).POOL() == self, "pool: venue of another pool"
    assert staticcall IPerpVenue(venue_address).ORACLE() == ORACLE, "pool: venue oracle differs"
    self.venue = venue_address
    log ILiquidityPool.VenueSet(venue=venue_address)


# Venue calls


# Reentrant: only the venue can call, which holds its own lock, and `execute_remove` above makes
# it do so before anything here is computed. The ledger changes before tokens move.
@external
@reentrant
def pay(quote: uint256) -> uint256:
    assert msg.sender == self.venue, "pool: not the venue"
    before: uint256 = self.quote_held
    paid: uint256 = min(quote, before)
    if paid == 0:
        return 0
    self.quote_held = before - paid
    self._send(QUOTE, msg.sender, paid)
    log ILiquidityPool.VenuePaid(
        quote=paid, quote_held_before=before, quote_held_after=before - paid
    )
    return paid


# Reentrant: as `pay`; it moves no tokens and calls nobody.
@external
@reentrant
def book(quote: uint256, assets: uint256):
    assert msg.sender == self.venue, "pool: not the venue"
    self.quote_held += quote
    self.assets_held += assets
    log ILiquidityPool.VenueReceived(
        quote=quote,
        assets=assets,
        quote_held_after=self.quote_held,
        assets_held_after=self.assets_held,
    )


# Reentrant: as `pay`.
@external
@reentrant
def hand_over() -> (uint256, uint256):
    assert msg.sender == self.venue, "pool: not the venue"
    quote: uint256 = self.quote_held
    assets: uint256 = self.assets_held
    self.quote_held = 0
    self.assets_held = 0
    self._send(QUOTE, msg.sender, quote)
    self._send(ASSET, msg.sender, assets)
    log ILiquidityPool.PoolHandedOver(quote=quote, assets=assets)
    return quote, assets


# Views


# Reentrant: the venue reads it inside its own calls, some of which come from here. It is a
# plain ledger, written before every transfer.
@external
@view
@reentrant
def holdings() -> (uint256, uint256):
    return self.quote_held, self.assets_held


@external
@view
def equity(price_wad: uint256) -> int256:
    return self._equity(price_wad)


# Internals


@internal
@view
def _equity(price_wad: uint256) -> int256:
    """
    @dev Tokens here and what the venue owes (signed), quote, rounded down.
    """
    booked: int256 = 0
    if self.venue != empty(address):
        booked = staticcall IPerpVenue(self.venue).pool_value(price_wad)
    return (
        convert(self.quote_held, int256)
        + booked
        + fixed_point.div_floor(convert(self.assets_held * price_wad, int256), PRICE_DIVISOR)
    )


@internal
@view
def _minted(request: ILiquidityPool.Provision, equity: int256, supply: uint256) -> uint256:
    """
    @dev Shares for the quote at the value now or at the request, the fewer; one for one where
         there were none.
    """
    if supply == 0:
        return request.quote
    shares: uint256 = fixed_point.mul_div_down(request.quote, supply, convert(equity, uint256))
    if request.total_shares == 0:
        return min(shares, request.quote)
    return min(
        shares,
        fixed_point.mul_div_down(
            request.quote, request.total_shares, convert(request.equity, uint256)
        ),
    )


@internal
@view
def _worth(
    request: ILiquidityPool.Removal, equity: int256, supply: uint256, price_wad: uint256
) -> (uint256, uint256):
    """
    @dev The shares' part of equity now or at the request, the smaller: inventory in kind
         first, the rest in quote.
    """
    divisor: uint256 = convert(PRICE_DIVISOR, uint256)
    value: uint256 = min(
        fixed_point.mul_div_down(request.shares, convert(equity, uint256), supply),
        fixed_point.mul_div_down(
            request.shares, convert(request.equity, uint256), request.total_shares
        ),
    )
    assets: uint256 = min(
        fixed_point.mul_div_down(self.assets_held, request.shares, supply),
        fixed_point.mul_div_down(value, divisor, price_wad),
    )
    return value - min(value, fixed_point.mul_div_up(assets, price_wad, divisor)), assets


@internal
def _note_price() -> IPriceOracle.Price:
    """
    @dev The price now, and since when it stands. The quote's feed can move it within a round.
    """
    price: IPriceOracle.Price = staticcall IPriceOracle(ORACLE).read()
    before: ILiquidityPool.NotedPrice = self.noted_price
    if before.price_wad != price.price_wad or before.round_id != price.round_id:
        self.noted_price = ILiquidityPool.NotedPrice(
            price_wad=price.price_wad, round_id=price.round_id, noted_at=block.timestamp
        )
        log ILiquidityPool.PriceNoted(
            price_before_wad=before.price_wad,
            price_after_wad=price.price_wad,
            oracle_round_before_id=before.round_id,
            oracle_round_after_id=price.round_id,
        )
    return price


@internal
@view
def _require_due(round_id: uint256, requested_at: uint256, price: IPriceOracle.Price):
    assert price.round_id > round_id, "pool: same oracle round"
    waited: uint256 = block.timestamp - requested_at
    assert waited >= MIN_DELAY, "pool: too early"
    assert waited <= WINDOW, "pool: request expired"
    noted: ILiquidityPool.NotedPrice = self.noted_price
    assert (
        noted.price_wad == price.price_wad
        and noted.round_id == price.round_id
        and block.timestamp - noted.noted_at >= PRICE_STAND
    ), "pool: price has not stood"


@internal
@view
def _entry_equity(price_wad: uint256, supply: uint256) -> int256:
    """
    @dev Equity and what deleveraging may bring back of losses that wait: that is theirs who bore
         them. With no shares an equity of zero is the normal one; a debt would be the entrant's.
    """
    equity: int256 = self._equity(price_wad)
    assert equity >= convert(supply > 0, int256), "pool: insolvent"
    if self.venue == empty(address):
        return equity
    longs: uint256 = (staticcall IVenueRecovery(self.venue).queue(True))[0]
    shorts: uint256 = (staticcall IVenueRecovery(self.venue).queue(False))[0]
    return equity + convert(longs + shorts, int256)


@internal
@view
def _require_holding(shares: uint256):
    assert shares == 0 or shares >= MIN_HOLDING, "pool: under minimum holding"


@internal
def _send(token: address, receiver: address, amount: uint256):
    if amount == 0:
        return
    assert extcall IERC20(token).transfer(
        receiver, amount, default_return_value=True
    ), "pool: transfer failed"
