# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
"""
@title The venue's other side: tokens of its providers, and who provided them
@notice Holds the quote that pays winners and the asset margin that liquidations sold to it.
     What traders' positions owe it or it owes them is booked at the venue (`pool_value`).
@dev Shares are worth the closing value, what would be left if everybody closed on the curve:
     at the index a skew that anyone can push would inflate them (attack A-16). Until requests
     with a later round exist, only the owner provides and removes, because even the closing
     value may be chosen by moment (a known bad account, a price that lags).
     Shares minted = quote * total shares / equity, both down. Shares burned pay their part of
     the asset inventory in kind and the rest of their value in quote.
@custom:units Raw asset and quote units, prices WAD, shares in quote units of the first
     provision.
@custom:rounding Shares minted and tokens paid down.
@custom:halt The owner stops providing; nothing here can stop the venue from being paid.
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from interfaces import ILiquidityPool
from interfaces import IPerpVenue
from interfaces import IPriceOracle

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

venue: public(address)  # the one venue this pool stands behind; set once
quote_held: uint256  # by ledger
assets_held: uint256
shares_of: public(HashMap[address, uint256])
total_shares: public(uint256)


@deploy
def __init__(asset: address, quote: address, oracle: address):
    """
    @param asset The token that is traded and may be margin; 6 to 18 decimals.
    @param quote The token that profit is paid in; 6 to 18 decimals.
    @param oracle The price that shares are valued at; the venue must use the same.
    """
    assert asset != empty(address), "pool: zero address"
    assert quote != empty(address), "pool: zero address"
    assert oracle != empty(address), "pool: zero address"
    asset_decimals: uint256 = convert(staticcall IERC20Detailed(asset).decimals(), uint256)
    quote_decimals: uint256 = convert(staticcall IERC20Detailed(quote).decimals(), uint256)
    assert asset_decimals >= 6 and asset_decimals <= 18, "pool: asset decimals"
    assert quote_decimals >= 6 and quote_decimals <= 18, "pool: quote decimals"
    ownable.__init__()
    ownable_2step.__init__()
    ASSET = asset
    QUOTE = quote
    ORACLE = oracle
    PRICE_DIVISOR = convert(10**(18 + asset_decimals - quote_decimals), int256)


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


@external
def provide(quote: uint256, min_shares: uint256) -> uint256:
    ownable._check_owner()
    assert quote > 0, "pool: zero amount"
    price: IPriceOracle.Price = staticcall IPriceOracle(ORACLE).read()
    equity: int256 = self._equity(price.price_wad)
    supply: uint256 = self.total_shares
    shares: uint256 = quote
    if supply > 0:
        assert equity > 0, "pool: insolvent"
        shares = fixed_point.mul_div_down(quote, supply, convert(equity, uint256))
    assert shares > 0, "pool: zero shares"
    assert shares >= min_shares, "pool: under minimum shares"
    self.total_shares = supply + shares
    self.shares_of[msg.sender] += shares
    self.quote_held += quote
    self._pull_quote(quote)
    log ILiquidityPool.LiquidityProvided(
        provider=msg.sender,
        quote=quote,
        shares=shares,
        equity_before=equity,
        total_shares_before=supply,
        total_shares_after=supply + shares,
        quote_held_after=self.quote_held,
        price_wad=price.price_wad,
        oracle_round_id=price.round_id,
    )
    return shares


@external
def remove(shares: uint256, min_quote: uint256, receiver: address) -> (uint256, uint256):
    ownable._check_owner()
    assert shares > 0, "pool: zero amount"
    assert receiver != empty(address), "pool: zero receiver"
    assert shares <= self.shares_of[msg.sender], "pool: not enough shares"
    price: IPriceOracle.Price = staticcall IPriceOracle(ORACLE).read()
    # Traders' profit is paid out of the pool first, so that leaving cannot take its tokens.
    extcall IPerpVenue(self.venue).settle()
    equity: int256 = self._equity(price.price_wad)
    supply: uint256 = self.total_shares
    quote: uint256 = 0
    assets: uint256 = 0
    (quote, assets) = self._worth(shares, supply, equity, price.price_wad)
    assert quote >= min_quote, "pool: under minimum quote"
    assert quote <= self.quote_held, "pool: not enough quote"
    self.total_shares = supply - shares
    self.shares_of[msg.sender] -= shares
    self.quote_held -= quote
    self.assets_held -= assets
    # What stays must still carry the skew that the venue let in on the strength of it.
    assert self._equity(price.price_wad) >= staticcall IPerpVenue(self.venue).pool_equity_required(
        price.price_wad
    ), "pool: skew needs the equity"
    self._send(QUOTE, receiver, quote)
    self._send(ASSET, receiver, assets)
    log ILiquidityPool.LiquidityRemoved(
        provider=msg.sender,
        receiver=receiver,
        shares=shares,
        quote=quote,
        assets=assets,
        equity_before=equity,
        total_shares_before=supply,
        total_shares_after=supply - shares,
        quote_held_after=self.quote_held,
        assets_held_after=self.assets_held,
        price_wad=price.price_wad,
        oracle_round_id=price.round_id,
    )
    return quote, assets


# Venue calls


# Reentrant: only the venue can call, which holds its own lock, and `remove` above makes it
# do so before anything here is computed. The ledger changes before tokens move.
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
def _worth(
    shares: uint256, supply: uint256, equity: int256, price_wad: uint256
) -> (uint256, uint256):
    """
    @dev The shares' part of equity: inventory in kind first, the rest in quote.
    """
    divisor: uint256 = convert(PRICE_DIVISOR, uint256)
    value: uint256 = fixed_point.mul_div_down(shares, fixed_point.positive_part(equity), supply)
    assets: uint256 = min(
        fixed_point.mul_div_down(self.assets_held, shares, supply),
        fixed_point.mul_div_down(value, divisor, price_wad),
    )
    return value - min(value, fixed_point.mul_div_up(assets, price_wad, divisor)), assets


@internal
def _pull_quote(quote: uint256):
    assert extcall IERC20(QUOTE).transferFrom(
        msg.sender, self, quote, default_return_value=True
    ), "pool: transfer failed"


@internal
def _send(token: address, receiver: address, amount: uint256):
    if amount == 0:
        return
    assert extcall IERC20(token).transfer(
        receiver, amount, default_return_value=True
    ), "pool: transfer failed"
