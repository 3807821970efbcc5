# SPDX-License-Identifier: MIT
# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title Everything a keeper needs about many vaults in one call
@notice Holds nothing. Answers for a vault whose oracle is bad, with the best price there is, for
     accounts that are insolvent and for venues that do not answer.
@dev Where the oracle says a price that may not be used, that price is shown; where it says none,
     the book's last good one is. Without any, the venues' accounts are left empty. An address
     that is no vault reverts the call.
@custom:units As IHedgeBook and IHedgeVenue.
@custom:halt It has no switch. While a book or a vault is in the middle of a call, it reverts.
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed

from interfaces import IBookControl
from interfaces import IBookFlows
from interfaces import IHedgeBook
from interfaces import IHedgeVault
from interfaces import IHedgeVenue
from interfaces import IPriceOracle
from interfaces import ISpotMarket
from interfaces import IVaultLens
from modules import venue_market

implements: IVaultLens

MAX_VAULTS: constant(uint256) = 25
MAX_VENUES: constant(uint256) = 4


@external
@view
def snapshots(
    vaults: DynArray[address, MAX_VAULTS]
) -> (uint256, uint256, DynArray[IVaultLens.VaultSnapshot, MAX_VAULTS]):
    """
    @notice The state of each vault, its venues, its oracle and its spot market, now.
    @return Block number, block time, one snapshot for each vault in the order given.
    """
    answer: DynArray[IVaultLens.VaultSnapshot, MAX_VAULTS] = []
    for vault: address in vaults:
        answer.append(self._snapshot(vault))
    return block.number, block.timestamp, answer


@internal
@view
def _snapshot(vault: address) -> IVaultLens.VaultSnapshot:
    snapshot: IVaultLens.VaultSnapshot = empty(IVaultLens.VaultSnapshot)
    snapshot.vault = vault
    snapshot.book = staticcall IHedgeVault(vault).book()
    snapshot.total_supply = staticcall IERC20(vault).totalSupply()
    snapshot.idle_assets = staticcall IHedgeVault(vault).idle_assets()
    snapshot.entry_paused_until = staticcall IHedgeVault(vault).entry_paused_until()
    snapshot.base_charge_bps = staticcall IHedgeVault(vault).base_charge_bps()
    snapshot = self._with_book(snapshot)
    snapshot = self._with_price(snapshot)
    snapshot.spot_assets, snapshot.spot_quote = staticcall ISpotMarket(snapshot.spot).reserves()
    snapshot.spot_fee_wad = staticcall ISpotMarket(snapshot.spot).fee_wad()
    for i: uint256 in range(snapshot.venue_count, bound=MAX_VENUES):
        snapshot.venues[i] = self._venue(snapshot.book, i, snapshot.price_wad)
    return snapshot


@internal
@view
def _with_book(before: IVaultLens.VaultSnapshot) -> IVaultLens.VaultSnapshot:
    snapshot: IVaultLens.VaultSnapshot = before
    flows: IBookFlows = IBookFlows(before.book)
    snapshot.asset = staticcall flows.asset()
    snapshot.quote = staticcall flows.quote()
    snapshot.oracle = staticcall flows.oracle()
    snapshot.spot = staticcall flows.spot()
    snapshot.asset_decimals = self._decimals(snapshot.asset)
    snapshot.quote_decimals = self._decimals(snapshot.quote)
    book: IHedgeBook = IHedgeBook(before.book)
    snapshot.owner = staticcall book.owner()
    snapshot.keeper = staticcall book.keeper()
    snapshot.guardian = staticcall book.guardian()
    snapshot.state = staticcall book.state()
    snapshot.limits = staticcall book.limits()
    snapshot.venue_count = staticcall book.venue_count()
    return snapshot


@internal
@view
def _with_price(before: IVaultLens.VaultSnapshot) -> IVaultLens.VaultSnapshot:
    snapshot: IVaultLens.VaultSnapshot = before
    price: IPriceOracle.Price = empty(IPriceOracle.Price)
    reason: String[32] = ""
    snapshot.price_ok, price, reason = staticcall IPriceOracle(before.oracle).try_read()
    snapshot.price_wad = price.price_wad
    snapshot.price_updated_at = price.updated_at
    snapshot.price_round_id = price.round_id
    if price.price_wad == 0:
        snapshot.price_wad = before.state.last_price_wad
        snapshot.price_updated_at = before.state.last_price_at
    snapshot.price_reason = self._left_aligned(reason)
    return snapshot


@internal
@view
def _venue(book: address, i: uint256, price_wad: uint256) -> IVaultLens.VenueSnapshot:
    venue: address = staticcall IHedgeBook(book).venues(i)
    snapshot: IVaultLens.VenueSnapshot = empty(IVaultLens.VenueSnapshot)
    snapshot.venue = venue
    snapshot.allotment_bps = staticcall IHedgeBook(book).allotment_bps(venue)
    if price_wad != 0:
        sight: IBookControl.Sight = staticcall IBookControl(book).sight(i, price_wad)
        snapshot.lost = sight.lost
        snapshot.value = sight.value
        snapshot.margin = sight.margin
        snapshot.answers, snapshot.market = venue_market.of(venue, price_wad)
        snapshot.answers = snapshot.answers and sight.answers
    return snapshot


@internal
@view
def _decimals(token: address) -> uint256:
    return convert(staticcall IERC20Detailed(token).decimals(), uint256)


@internal
@pure
def _left_aligned(text: String[32]) -> bytes32:
    """
    @dev The words of a string: its length, then the text with zeros behind it.
    """
    encoded: Bytes[96] = abi_encode(text)
    if len(text) == 0:
        return empty(bytes32)
    return extract32(encoded, 64)
