# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
# pragma optimize codesize
"""
@title What depositors own: shares of a hedged position, ERC-4626
@notice Holds idle assets. Everything else that belongs to the vault is in its HedgeBook, which
     also reads the oracle.
@dev Let S be the price, I the idle assets here, M asset margin at venues, Q quote and profit at
     the index, d the delta of the venues, h the hedge ratio.

         E = I + M + Q / S                     equity, asset units
         gap = I + M + d - (1 - h) * E         what is unhedged
         price of a share = (E + 1) / (supply + 10**OFFSET)

     Virtual shares and the one virtual unit keep a share's price from being pushed by rounding;
     while the supply is zero a share costs 10**-OFFSET whatever is left over, and the supply is
     zero or at least MIN_SUPPLY. E is rounded up for who enters and down for who leaves.

     A flow of `a` moves the gap by +-h * a and pays, in assets that stay in the vault:
     impact  max(0, C(gap after) - C(gap before)), C(x) = cost of trading -x on the first venue;
             C is a potential, so that pieces of a flow never pay less than where they lead. A flow
             across gap zero pays C(gap after), like its two pieces: C is the worse of two premia,
             and on the other side another one would be the worse, which a push could choose;
     base    a share of the flow that covers what the feeds may leave unreported, for h of it.

     With c(a) the charge on an entry of a, and i(n) the impact of an exit that pays out n:
         deposit   net = a - c(a)                                          exact
         mint      a = net + c(a_hi) for an a_hi with a_hi >= net + c(a_hi); c grows with a, so
                   a covers its own charge; repeated from above until it is close
         withdraw  gross = (n + i(n)) / (1 - base)                         exact
         redeem    n = gross - base - i(gross - base), which is at least i(n)
     Who redeems or withdraws all there is pays no charge: nobody is left to receive it.
@custom:units Asset amounts in raw asset units under 2**112, shares in raw units of OFFSET more
     decimals, quote in raw quote units, prices WAD between 1e6 and 1e30. Gap too long positive.
@custom:rounding For the vault: shares minted and assets paid out down, the rest up.
@custom:halt The guardian pauses entry (modules/pause.vy), the owner can lift it. Exits cannot be
     paused; they stop while there is no good price and while equity is not positive.
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from ethereum.ercs import IERC4626
from snekmate.auth import ownable
from snekmate.auth import ownable_2step
from snekmate.tokens import erc20

from interfaces import IBookFlows
from interfaces import IHedgeVault
from interfaces import IHedgeVenue
from interfaces import IPriceOracle
from modules import fixed_point
from modules import packed
from modules import pause

# IERC4626 as well, but the compiler does not count a function with a defaulted argument (ERC-5143)
# as its shorter form; tests/unit/contracts/hedge_vault/test_control.py compares the two.
implements: IERC20
implements: IHedgeVault

initializes: ownable
initializes: ownable_2step[ownable := ownable]
initializes: erc20[ownable := ownable]

exports: (
    erc20.name,
    erc20.symbol,
    erc20.decimals,
    erc20.totalSupply,
    erc20.balanceOf,
    erc20.allowance,
    erc20.transfer,
    erc20.transferFrom,
    erc20.approve,
    erc20.permit,
    erc20.nonces,
    erc20.DOMAIN_SEPARATOR,
    erc20.eip712Domain,
)
exports: (
    ownable_2step.owner,
    ownable_2step.pending_owner,
    ownable_2step.transfer_ownership,
    ownable_2step.accept_ownership,
)


struct Priced:  # the vault at one price
    price_wad: uint256
    supply: uint256
    idle: uint256
    equity: int256  # rounded down
    equity_up: int256
    gap: int256
    gap_room: int256  # by how much entry may raise the gap
    gap_cost: uint256  # C(gap), quote
    hedge_ratio_bps: uint256
    base_charge_bps: uint256
    venue: address


struct Charge:  # asset units
    impact: uint256
    base: uint256


BPS: constant(uint256) = 10_000

OFFSET: public(constant(uint8)) = 3  # decimals of a share over those of the asset
VIRTUAL_SHARES: constant(uint256) = 10**3
MIN_SUPPLY_DIGITS: constant(uint256) = 3  # the minimum supply is 0.001 of an asset at the start
MAX_ASSETS: constant(uint256) = 2**112  # times a price stays under 2**212
MAX_BASE_CHARGE_BPS: constant(uint256) = 500
BOUND_STEPS: constant(uint256) = 2  # each cuts the excess of `mint` by the marginal charge
HALVINGS: constant(uint256) = 16  # of what may enter, until the charge leaves something
PERPETUAL: constant(uint256) = 0  # the instrument that hedges

BOOK: immutable(IBookFlows)
ASSET: immutable(IERC20)
PRICE_DIVISOR: immutable(uint256)
MIN_SUPPLY: public(immutable(uint256))

# idle assets 128 | base charge bps 16 | entry paused until 40 | next pause not before 40
_ledger: uint256


@deploy
def __init__(book: address, name: String[25], symbol: String[5], base_charge_bps: uint256):
    """
    @param book The HedgeBook; it must be told of this vault by its owner.
    @param base_charge_bps At least hedge ratio * deviation thresholds of the feeds.
    """
    assert book != empty(address), "vault: book is zero"
    BOOK = IBookFlows(book)
    asset: address = staticcall IBookFlows(book).asset()
    ASSET = IERC20(asset)
    PRICE_DIVISOR = staticcall IBookFlows(book).price_divisor()
    decimals: uint8 = staticcall IERC20Detailed(asset).decimals()
    MIN_SUPPLY = 10**(convert(decimals + OFFSET, uint256) - MIN_SUPPLY_DIGITS)
    ownable.__init__()
    ownable_2step.__init__()
    erc20.__init__(name, symbol, decimals + OFFSET, name, "1")
    self._set_base_charge(base_charge_bps)


# ---------------------------------------------------------------------------------------------
# Open to all
# ---------------------------------------------------------------------------------------------


@external
def deposit(assets: uint256, receiver: address, min_shares: uint256 = 0) -> uint256:
    """
    @notice Pay in exactly `assets`, pulled from the caller.
    @param min_shares The least to be minted (ERC-5143). The charge on a flow follows the venue's
        skew, which others can move in front of a transaction, so people should set this.
    @return Shares minted to `receiver`, rounded down.
    """
    priced: Priced = self._open()
    charge: Charge = self._entry_charge(priced, assets)
    shares: uint256 = self._shares_for_entry(priced, assets, charge)
    self._require_bound(min_shares <= shares)
    self._enter(priced, assets, shares, charge, receiver)
    return shares


@external
def mint(shares: uint256, receiver: address, max_assets: uint256 = max_value(uint256)) -> uint256:
    """
    @notice Get exactly `shares`; pulls from the caller what `previewMint` says, which may be
        a little over what `deposit` would ask for as many.
    @param max_assets The most to be paid in.
    @return Assets paid in, rounded up.
    """
    priced: Priced = self._open()
    assets: uint256 = self._assets_for_mint(priced, shares)
    self._require_bound(assets <= max_assets)
    self._enter(priced, assets, shares, self._entry_charge(priced, assets), receiver)
    return assets


@external
def withdraw(
    assets: uint256,
    receiver: address,
    owner: address,
    max_shares: uint256 = max_value(uint256),
) -> uint256:
    """
    @notice Pay out exactly `assets`, from idle and then from free margin.
    @param owner Whose shares are burned; another caller needs his allowance.
    @param max_shares The most to be burned.
    @return Shares burned, rounded up.
    """
    priced: Priced = self._open()
    shares: uint256 = 0
    charge: Charge = empty(Charge)
    shares, charge = self._shares_for_withdrawal(priced, assets)
    self._require_bound(shares <= max_shares)
    self._leave(priced, assets, shares, charge, receiver, owner)
    return shares


@external
def redeem(shares: uint256, receiver: address, owner: address, min_assets: uint256 = 0) -> uint256:
    """
    @notice Burn exactly `shares`, paid out from idle and then from free margin.
    @param owner Whose shares are burned; another caller needs his allowance.
    @param min_assets The least to be paid out.
    @return Assets paid out, rounded down.
    """
    priced: Priced = self._open()
    assets: uint256 = 0
    charge: Charge = empty(Charge)
    assets, charge = self._assets_for_redemption(priced, shares)
    self._require_bound(min_assets <= assets)
    self._leave(priced, assets, shares, charge, receiver, owner)
    return assets


# ---------------------------------------------------------------------------------------------
# The book's
# ---------------------------------------------------------------------------------------------


@external
def release(assets: uint256):
    """
    @notice Send idle assets to the book, for margin or a spot sale.
    """
    assert msg.sender == BOOK.address, "vault: caller is not the book"
    idle: uint256 = self._idle()
    assert idle >= assets, "vault: not enough idle assets"
    self._set_idle(idle - assets)
    log IHedgeVault.IdleMoved(assets=-convert(assets, int256), idle_assets_after=idle - assets)
    self._push(BOOK.address, assets)


@external
def credit(assets: uint256):
    """
    @notice Count assets that a venue or the spot market has just sent here.
    """
    assert msg.sender == BOOK.address, "vault: caller is not the book"
    idle: uint256 = self._idle() + assets
    self._set_idle(idle)
    self._require_held(idle)
    log IHedgeVault.IdleMoved(assets=convert(assets, int256), idle_assets_after=idle)


# ---------------------------------------------------------------------------------------------
# Owner and guardian
# ---------------------------------------------------------------------------------------------


@external
def set_base_charge(base_charge_bps: uint256):
    """
    @notice Set the base charge on every flow, bps. Owner only.
    """
    ownable._check_owner()
    self._set_base_charge(base_charge_bps)


@external
def pause_entry(duration_secs: uint256):
    """
    @notice Stop deposits and mints for at most 72 hours. Guardian only.
    """
    assert msg.sender == staticcall BOOK.guardian(), "vault: caller is not guardian"
    paused_until: uint256 = pause.until(duration_secs, packed.part(self._ledger, 184, 40))
    self._set_pause(paused_until, pause.ready_at(paused_until))


@external
def lift_entry_pause():
    """
    @notice End a pause of entry. Guardian or owner. The rest before the next one stays.
    """
    if msg.sender != staticcall BOOK.guardian():
        ownable._check_owner()
    self._set_pause(0, packed.part(self._ledger, 184, 40))


# ---------------------------------------------------------------------------------------------
# Views
# ---------------------------------------------------------------------------------------------


@external
@view
def asset() -> address:
    """
    @notice The token paid in and out.
    """
    return ASSET.address


@external
@view
def book() -> address:
    return BOOK.address


@external
@view
def idle_assets() -> uint256:
    """
    @notice Assets that are here by the ledger; tokens sent without a call do not count.
    """
    return self._idle()


@external
@view
def base_charge_bps() -> uint256:
    return self._base_charge_bps()


@external
@view
def entry_paused_until() -> uint256:
    """
    @notice Unix seconds; entry is open from then on.
    """
    return self._paused_until()


@external
@view
def totalAssets() -> uint256:
    """
    @notice E, never below zero, rounded down; at the last good price when there is none now.
    """
    return self._worth(self._reading())


@external
@view
def convertToShares(assets: uint256) -> uint256:
    """
    @notice Shares worth `assets`, without charges, rounded down.
    """
    priced: Priced = self._reading()
    if priced.supply == 0:
        return assets * VIRTUAL_SHARES
    return fixed_point.mul_div_down(assets, priced.supply + VIRTUAL_SHARES, self._worth(priced) + 1)


@external
@view
def convertToAssets(shares: uint256) -> uint256:
    """
    @notice What `shares` are worth, without charges, rounded down.
    """
    priced: Priced = self._reading()
    if priced.supply == 0:
        return fixed_point.mul_div_down(shares, 1, VIRTUAL_SHARES)
    return fixed_point.mul_div_down(shares, self._worth(priced) + 1, priced.supply + VIRTUAL_SHARES)


@external
@view
def previewDeposit(assets: uint256) -> uint256:
    """
    @notice Exactly what `deposit` would mint now, charges taken.
    """
    priced: Priced = self._preview()
    return self._shares_for_entry(priced, assets, self._entry_charge(priced, assets))


@external
@view
def previewMint(shares: uint256) -> uint256:
    """
    @notice Exactly what `mint` would ask for now, charges included.
    """
    return self._assets_for_mint(self._preview(), shares)


@external
@view
def previewWithdraw(assets: uint256) -> uint256:
    """
    @notice Exactly what `withdraw` would burn now, charges included.
    """
    return self._shares_for_withdrawal(self._preview(), assets)[0]


@external
@view
def previewRedeem(shares: uint256) -> uint256:
    """
    @notice Exactly what `redeem` would pay out now, charges taken.
    """
    return self._assets_for_redemption(self._preview(), shares)[0]


@external
@view
def maxDeposit(receiver: address) -> uint256:
    """
    @notice The most that may be paid in now. Zero while there is no good price or entry is
        paused.
    """
    return self._max_entry()[0]


@external
@view
def maxMint(receiver: address) -> uint256:
    """
    @notice The most shares that may be minted now.
    """
    return self._max_entry()[1]


@external
@view
def maxWithdraw(owner: address) -> uint256:
    """
    @notice The most that `owner` could be paid now. Zero while there is no good price.
    """
    return self._max_exit(owner)[0]


@external
@view
def maxRedeem(owner: address) -> uint256:
    """
    @notice The most shares that `owner` could redeem now. Zero while there is no good price.
    """
    return self._max_exit(owner)[1]


# ---------------------------------------------------------------------------------------------
# Value
# ---------------------------------------------------------------------------------------------


@internal
def _open() -> Priced:
    """
    @dev Prices a flow that will happen. The book's lock is taken inside, so this fails while
         a rebalance runs.
    """
    return self._priced(extcall BOOK.open_flow())


@internal
@view
def _reading() -> Priced:
    return self._valued(staticcall BOOK.flow())


@internal
@view
def _preview() -> Priced:
    flow: IBookFlows.Flow = staticcall BOOK.flow()
    assert flow.price_ok, "vault: no good price"
    return self._priced(flow)


@internal
@view
def _priced(flow: IBookFlows.Flow) -> Priced:
    """
    @dev With the cost of hedging the gap that is there already.
    """
    priced: Priced = self._valued(flow)
    priced.gap_cost = self._hedge_cost(priced, priced.gap)
    return priced


@internal
@view
def _valued(flow: IBookFlows.Flow) -> Priced:
    """
    @dev Without a price, which only happens before the first one, quote counts for nothing.
    """
    idle: uint256 = self._idle()
    held: int256 = convert(idle + flow.assets, int256)
    value: int256 = 0
    value_up: int256 = 0
    if flow.price_wad != 0:
        scaled: int256 = flow.quote_value * convert(PRICE_DIVISOR, int256)
        value = fixed_point.div_floor(scaled, convert(flow.price_wad, int256))
        value_up = fixed_point.div_ceil(scaled, convert(flow.price_wad, int256))
    equity: int256 = held + value
    gap: int256 = held + flow.delta - self._unhedged_target(equity, flow.hedge_ratio_bps)
    limit: uint256 = max(
        flow.gap_floor,
        fixed_point.mul_div_down(fixed_point.positive_part(equity), flow.gap_share_bps, BPS),
    )
    return Priced(
        price_wad=flow.price_wad,
        supply=erc20.totalSupply,
        idle=idle,
        equity=equity,
        equity_up=held + value_up,
        gap=gap,
        gap_room=convert(limit, int256) - gap,
        gap_cost=0,
        hedge_ratio_bps=flow.hedge_ratio_bps,
        base_charge_bps=self._base_charge_bps(),
        venue=flow.venue,
    )


@internal
@pure
def _unhedged_target(equity: int256, hedge_ratio_bps: uint256) -> int256:
    """
    @dev (1 - h) * E, rounded down.
    """
    share: int256 = convert(BPS, int256) - convert(hedge_ratio_bps, int256)
    return fixed_point.div_floor(equity * share, convert(BPS, int256))


@internal
@pure
def _worth(priced: Priced) -> uint256:
    return fixed_point.positive_part(priced.equity)


# ---------------------------------------------------------------------------------------------
# Charges
# ---------------------------------------------------------------------------------------------


@internal
@view
def _hedge_cost(priced: Priced, gap: int256) -> uint256:
    """
    @dev C(gap), quote, rounded up. Nothing without a venue.
    """
    if gap == 0 or priced.venue == empty(address):
        return 0
    return staticcall IHedgeVenue(priced.venue).hedge_cost(PERPETUAL, -gap, priced.price_wad)


@internal
@view
def _impact(priced: Priced, assets: uint256, entry: bool) -> uint256:
    """
    @dev max(0, C(gap after) - C(gap before)) in asset units, rounded up. Beyond a gap of zero
         nothing is credited for closing it.
    """
    step: int256 = convert(fixed_point.mul_div_up(assets, priced.hedge_ratio_bps, BPS), int256)
    if step == 0:
        return 0
    gap_after: int256 = priced.gap + step
    if not entry:
        gap_after = priced.gap - step
    cost: uint256 = self._hedge_cost(priced, gap_after)
    credit: uint256 = priced.gap_cost
    if (priced.gap > 0) != (gap_after > 0):
        credit = 0
    if cost <= credit:
        return 0
    return fixed_point.mul_div_up(cost - credit, PRICE_DIVISOR, priced.price_wad)


@internal
@view
def _entry_charge(priced: Priced, assets: uint256) -> Charge:
    """
    @dev Grows with `assets`, which the bound of `mint` rests on.
    """
    assert assets <= MAX_ASSETS, "vault: assets over maximum"
    return Charge(
        impact=self._impact(priced, assets, True),
        base=fixed_point.mul_div_up(assets, priced.base_charge_bps, BPS),
    )


# ---------------------------------------------------------------------------------------------
# Shares against assets
# ---------------------------------------------------------------------------------------------


@internal
@view
def _shares_for_entry(priced: Priced, assets: uint256, charge: Charge) -> uint256:
    """
    @dev Rounded down; zero when the charge takes everything.
    """
    kept: uint256 = charge.impact + charge.base
    if kept >= assets:
        return 0
    if priced.supply == 0:
        return (assets - kept) * VIRTUAL_SHARES
    return fixed_point.mul_div_down(
        assets - kept,
        priced.supply + VIRTUAL_SHARES,
        fixed_point.positive_part(priced.equity_up) + 1,
    )


@internal
@view
def _assets_for_mint(priced: Priced, shares: uint256) -> uint256:
    """
    @dev Assets that cover `shares` and their own charge, rounded up: see the file's @dev. The
         first over-estimate is the net with twice its own charge, cut at what may enter at all
         where that is enough, doubled where it is not.
    """
    net: uint256 = 0
    if priced.supply == 0:
        net = fixed_point.mul_div_up(shares, 1, VIRTUAL_SHARES)
    else:
        net = fixed_point.mul_div_up(
            shares,
            fixed_point.positive_part(priced.equity_up) + 1,
            priced.supply + VIRTUAL_SHARES,
        )
    high: uint256 = net + 2 * self._total(self._entry_charge(priced, net)) + 2
    room: uint256 = self._room(priced)
    if net <= room and room < high:
        high = room
    needed: uint256 = net + self._total(self._entry_charge(priced, high))
    if needed > high:
        high = 2 * net
        needed = net + self._total(self._entry_charge(priced, high))
        assert needed <= high, "vault: charge over the amount"
    for _: uint256 in range(BOUND_STEPS):
        needed = net + self._total(self._entry_charge(priced, needed))
    return needed


@internal
@view
def _shares_for_withdrawal(priced: Priced, assets: uint256) -> (uint256, Charge):
    """
    @dev Rounded up. All shares when `assets` is all there is, or would cost more than that.
    """
    assert assets <= MAX_ASSETS, "vault: assets over maximum"
    if priced.supply == 0:
        return assets * VIRTUAL_SHARES, empty(Charge)
    everything: uint256 = self._gross(priced, priced.supply)
    if assets == everything:
        return priced.supply, empty(Charge)
    impact: uint256 = self._impact(priced, assets, False)
    gross: uint256 = fixed_point.mul_div_up(assets + impact, BPS, BPS - priced.base_charge_bps)
    shares: uint256 = fixed_point.mul_div_up(
        gross, priced.supply + VIRTUAL_SHARES, self._worth(priced) + 1
    )
    if shares > priced.supply and assets < everything:
        return priced.supply, Charge(impact=everything - assets, base=0)
    return shares, Charge(impact=impact, base=gross - assets - impact)


@internal
@view
def _assets_for_redemption(priced: Priced, shares: uint256) -> (uint256, Charge):
    """
    @dev Rounded down; zero when the charge takes everything.
    """
    if priced.supply == 0:
        return fixed_point.mul_div_down(shares, 1, VIRTUAL_SHARES), empty(Charge)
    gross: uint256 = self._gross(priced, shares)
    if shares == priced.supply:
        return gross, empty(Charge)
    base: uint256 = fixed_point.mul_div_up(gross, priced.base_charge_bps, BPS)
    impact: uint256 = min(self._impact(priced, gross - base, False), gross - base)
    return gross - base - impact, Charge(impact=impact, base=base)


@internal
@pure
def _gross(priced: Priced, shares: uint256) -> uint256:
    """
    @dev What `shares` are worth before charges, rounded down.
    """
    return fixed_point.mul_div_down(shares, self._worth(priced) + 1, priced.supply + VIRTUAL_SHARES)


@internal
@pure
def _total(charge: Charge) -> uint256:
    return charge.impact + charge.base


# ---------------------------------------------------------------------------------------------
# What may move now
# ---------------------------------------------------------------------------------------------


@internal
@view
def _room(priced: Priced) -> uint256:
    """
    @dev Assets that may enter before the gap is at its limit, rounded down.
    """
    assets: uint256 = MAX_ASSETS - min(priced.idle, MAX_ASSETS)
    if priced.hedge_ratio_bps == 0:
        return assets
    return min(
        assets,
        fixed_point.mul_div_down(
            fixed_point.positive_part(priced.gap_room), BPS, priced.hedge_ratio_bps
        ),
    )


@internal
@view
def _entry_open(priced: Priced) -> bool:
    """
    @dev Equity must be positive while there are shares, and not negative while there are none.
    """
    return priced.equity > 0 or (priced.equity == 0 and priced.supply == 0)


@internal
@view
def _max_entry() -> (uint256, uint256):
    """
    @dev No more than the venue carries on one side: a larger gap has no cost to charge. Halved
         while the charge would take everything.
    @return Assets and shares.
    """
    flow: IBookFlows.Flow = staticcall BOOK.flow()
    if not flow.price_ok or block.timestamp < self._paused_until():
        return 0, 0
    priced: Priced = self._priced(flow)
    if not self._entry_open(priced):
        return 0, 0
    assets: uint256 = self._room(priced)
    if priced.venue != empty(address) and priced.hedge_ratio_bps != 0:
        market: IHedgeVenue.Market = staticcall IHedgeVenue(priced.venue).market(priced.price_wad)
        assets = min(assets, market.max_side)
    shares: uint256 = 0
    for _: uint256 in range(HALVINGS):
        shares = self._shares_for_entry(priced, assets, self._entry_charge(priced, assets))
        if shares != 0:
            break
        assets = assets >> 1
    if shares == 0 or priced.supply + shares < MIN_SUPPLY:
        return 0, 0
    return assets, shares


@internal
@view
def _max_exit(owner: address) -> (uint256, uint256):
    """
    @dev Shares that an exit of all that is liquid would burn are rounded down, so that they do
         not pay out more than that.
    @return Assets and shares.
    """
    flow: IBookFlows.Flow = staticcall BOOK.flow()
    shares: uint256 = erc20.balanceOf[owner]
    if not flow.price_ok or shares == 0:
        return 0, 0
    priced: Priced = self._priced(flow)
    if priced.equity <= 0:
        return 0, 0
    assets: uint256 = self._assets_for_redemption(priced, shares)[0]
    if assets > priced.idle:
        liquid: uint256 = priced.idle + staticcall BOOK.free_assets(priced.price_wad)
        if assets > liquid:
            shares = min(shares, self._shares_within(priced, liquid))
    rest: uint256 = priced.supply - shares
    if rest != 0 and rest < MIN_SUPPLY:
        shares -= min(shares, MIN_SUPPLY - rest)
    assets = self._assets_for_redemption(priced, shares)[0]
    return assets, shares


@internal
@view
def _shares_within(priced: Priced, liquid: uint256) -> uint256:
    """
    @dev Shares that pay out at most `liquid`, leaving the minimum supply.
    """
    impact: uint256 = self._impact(priced, liquid, False)
    gross: uint256 = fixed_point.mul_div_down(liquid + impact, BPS, BPS - priced.base_charge_bps)
    shares: uint256 = fixed_point.mul_div_down(
        gross, priced.supply + VIRTUAL_SHARES, self._worth(priced) + 1
    )
    return min(shares, priced.supply - min(priced.supply, MIN_SUPPLY))


@internal
@pure
def _require_bound(kept: bool):
    assert kept, "vault: bound of the caller"


# ---------------------------------------------------------------------------------------------
# Moving
# ---------------------------------------------------------------------------------------------


@internal
def _enter(priced: Priced, assets: uint256, shares: uint256, charge: Charge, receiver: address):
    """
    @dev State before the tokens. Reverts with one reason for each rule.
    """
    assert assets != 0, "vault: zero assets"
    assert receiver not in [empty(address), self], "vault: bad receiver"
    assert block.timestamp >= self._paused_until(), "vault: entry is paused"
    assert self._entry_open(priced), "vault: equity not positive"
    assert assets <= self._room(priced), "vault: gap over its limit"
    assert shares != 0, "vault: zero shares"
    assert priced.supply + shares >= MIN_SUPPLY, "vault: supply under minimum"
    idle_after: uint256 = priced.idle + assets
    self._set_idle(idle_after)
    erc20._mint(receiver, shares)
    log IERC4626.Deposit(sender=msg.sender, owner=receiver, assets=assets, shares=shares)
    self._log_flow(
        priced,
        receiver,
        convert(assets, int256),
        convert(shares, int256),
        charge,
        idle_after,
    )
    assert extcall ASSET.transferFrom(
        msg.sender, self, assets, default_return_value=True
    ), "vault: transfer failed"
    self._require_held(idle_after)


@internal
def _leave(
    priced: Priced,
    assets: uint256,
    shares: uint256,
    charge: Charge,
    receiver: address,
    owner: address,
):
    """
    @dev Shares are burned before margin is asked for, and the ledger is written before tokens
         go out.
    """
    assert priced.equity > 0, "vault: equity not positive"
    assert assets != 0, "vault: zero assets"
    assert receiver not in [empty(address), self], "vault: bad receiver"
    if msg.sender != owner:
        erc20._spend_allowance(owner, msg.sender, shares)
    erc20._burn(owner, shares)
    rest: uint256 = priced.supply - shares
    assert rest == 0 or rest >= MIN_SUPPLY, "vault: supply under minimum"
    liquid: uint256 = priced.idle
    if assets > liquid:
        liquid += extcall BOOK.free_margin(assets - liquid, priced.price_wad)
        assert assets <= liquid, "vault: not enough liquid"
        self._require_held(liquid)
    self._set_idle(liquid - assets)
    log IERC4626.Withdraw(
        sender=msg.sender, receiver=receiver, owner=owner, assets=assets, shares=shares
    )
    self._log_flow(
        priced,
        owner, -convert(assets, int256), -convert(shares, int256),
        charge,
        liquid - assets,
    )
    self._push(receiver, assets)


@internal
def _log_flow(
    priced: Priced,
    account: address,
    assets: int256,
    shares: int256,
    charge: Charge,
    idle_assets_after: uint256,
):
    log IHedgeVault.FlowPriced(
        account=account,
        assets=assets,
        shares=shares,
        impact_charge=charge.impact,
        base_charge=charge.base,
        price_wad=priced.price_wad,
        equity_before=priced.equity,
        gap_before=priced.gap,
        supply_before=priced.supply,
        idle_assets_after=idle_assets_after,
    )


@internal
def _push(receiver: address, assets: uint256):
    assert extcall ASSET.transfer(
        receiver, assets, default_return_value=True
    ), "vault: transfer failed"


@internal
@view
def _require_held(assets: uint256):
    """
    @dev The ledger never says more than the token does, whatever a venue or a token claims.
    """
    assert staticcall ASSET.balanceOf(self) >= assets, "vault: assets not received"


# ---------------------------------------------------------------------------------------------
# The ledger word
# ---------------------------------------------------------------------------------------------


@internal
@view
def _idle() -> uint256:
    return packed.part(self._ledger, 0, 128)


@internal
@view
def _base_charge_bps() -> uint256:
    return packed.part(self._ledger, 128, 16)


@internal
@view
def _paused_until() -> uint256:
    return packed.part(self._ledger, 144, 40)


@internal
def _set_idle(assets: uint256):
    self._ledger = packed.replace(self._ledger, assets, 0, 128)


@internal
def _set_pause(paused_until: uint256, ready_at: uint256):
    word: uint256 = packed.replace(self._ledger, paused_until, 144, 40)
    self._ledger = packed.replace(word, ready_at, 184, 40)
    log IHedgeVault.EntryPaused(paused_until=paused_until)


@internal
def _set_base_charge(base_charge_bps: uint256):
    """
    @dev A price that lags by the thresholds of its feeds must not be worth trading against.
    """
    thresholds_bps: uint256 = staticcall IPriceOracle(
        staticcall BOOK.oracle()
    ).deviation_thresholds_bps()
    least: uint256 = fixed_point.mul_div_up(staticcall BOOK.hedge_ratio_bps(), thresholds_bps, BPS)
    assert base_charge_bps >= least, "vault: base charge too low"
    assert base_charge_bps <= MAX_BASE_CHARGE_BPS, "vault: base charge too high"
    log IHedgeVault.BaseChargeSet(
        base_charge_before_bps=self._base_charge_bps(),
        base_charge_after_bps=base_charge_bps,
    )
    self._ledger = packed.replace(self._ledger, base_charge_bps, 128, 16)
