# SPDX-License-Identifier: MIT
# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title What a flow in or out of a vault is worth and what it is charged
@notice Holds nothing and knows no vault: a vault brings what it holds and its book's side of the
     valuation, and gets numbers. One serves any number of vaults.
@dev Let S be the price, I the idle assets of the vault, M asset margin at venues, Q quote and
     profit at the index, d the delta of the venues, h the hedge ratio.

         E = I + M + Q / S                     equity, asset units
         gap = I + M + d - (1 - h) * E         what is unhedged
         price of a share = (E + 1) / (supply + 10**OFFSET)

     Virtual shares and the one virtual unit keep a share's price from being pushed by rounding;
     while the supply is zero a share costs 10**-OFFSET whatever is left over. E is rounded up for
     who enters and down for who leaves.

     A flow of `a` moves the gap by +-h * a and pays, in assets that stay in the vault:
     impact  max(0, C(gap after) - C(gap before)), C(x) = cost of trading -x on the first venue;
             C is a potential, so that pieces of a flow never pay less than where they lead. A flow
             across gap zero pays C(gap after), like its two pieces: C is the worse of two premia,
             and on the other side another one would be the worse, which a push could choose;
     base    a share of the flow that covers what the feeds may leave unreported, for h of it.

     With c(a) the charge on an entry of a, and i(n) the impact of an exit that pays out n:
         entry       net = a - c(a)                                          exact
         issue       a = net + c(a_hi) for an a_hi with a_hi >= net + c(a_hi); c grows with a, so
                     a covers its own charge; repeated from above until it is close
         withdrawal  gross = (n + i(n)) / (1 - base)                         exact
         redemption  n = gross - base - i(gross - base), which is at least i(n)
     Who redeems or withdraws all there is pays no charge: nobody is left to receive it. Where the
     venue fails to quote, exits go on without impact, and nobody enters; a quote beyond reason
     counts up to a fifth of what the gap moves by.

     Queued requests are priced like redemptions, each after the one before it, so that it does not
     matter in how many runs they are filled. One that is worth less than its minimum lapses; one
     that the liquid assets do not cover is filled in part. All of them wait while the premium is
     away from its mean, because who pushes it makes their impact dear.
@custom:units As IFlowRules. Asset amounts under 2**112, quote in raw quote units, prices WAD
     between 1e6 and 1e30. Gap too long positive.
@custom:rounding For the vault: shares minted and assets paid out down, the rest up.
@custom:halt It has no switch and no owner.
"""

from interfaces import IBookFlows
from interfaces import IFlowRules
from interfaces import IHedgeVenue
from modules import fixed_point
from modules import venue_market

implements: IFlowRules


struct Priced:  # a vault at one price
    price_wad: uint256
    price_divisor: uint256
    supply: uint256
    min_supply: uint256
    idle: uint256
    held: int256  # I + M
    value: int256  # Q / S, rounded down
    value_up: int256
    delta: int256
    equity: int256  # rounded down
    gap: int256
    gap_limit: uint256
    hedge_ratio_bps: uint256
    base_charge_bps: uint256
    venue: address


struct Charge:  # asset units
    impact: uint256
    base: uint256


BPS: constant(uint256) = 10_000

MAX_ORDERS: constant(uint256) = 50
VIRTUAL_SHARES: constant(uint256) = 10**3
MAX_ASSETS: constant(uint256) = 2**112  # times a price stays under 2**212
BOUND_STEPS: constant(uint256) = 2  # each cuts the excess of `issue` by the marginal charge
HALVINGS: constant(uint256) = 16  # of what may enter, until the charge leaves something
PERPETUAL: constant(uint256) = 0  # the instrument that hedges
MAX_IMPACT_BPS: constant(uint256) = 2_000  # a premium of 3 % is the cap that we deploy
QUOTE_GAS: constant(uint256) = 150_000  # what a venue may burn to quote


@external
@view
def worth(flow: IBookFlows.Flow, holdings: IFlowRules.Holdings) -> uint256:
    """
    @notice E, never below zero, rounded down.
    """
    return self._worth(self._priced(flow, holdings).equity)


@external
@view
def entry(
    flow: IBookFlows.Flow, holdings: IFlowRules.Holdings, assets: uint256
) -> IFlowRules.Offer:
    """
    @notice Shares for `assets` paid in, rounded down; zero when the charge takes everything.
    """
    priced: Priced = self._priced(flow, holdings)
    charge: Charge = self._entry_charge(priced, assets)
    shares: uint256 = self._shares_for_entry(priced, assets, charge)
    return self._offer(priced, assets, shares, charge, 0)


@external
@view
def issue(
    flow: IBookFlows.Flow, holdings: IFlowRules.Holdings, shares: uint256
) -> IFlowRules.Offer:
    """
    @notice Assets that cover `shares` and their own charge, rounded up.
    """
    priced: Priced = self._priced(flow, holdings)
    assets: uint256 = self._assets_for_mint(priced, shares)
    return self._offer(priced, assets, shares, self._entry_charge(priced, assets), 0)


@external
@view
def withdrawal(
    flow: IBookFlows.Flow,
    holdings: IFlowRules.Holdings,
    queued_shares: uint256,
    assets: uint256,
) -> IFlowRules.Offer:
    """
    @notice Shares for `assets` paid out, rounded up.
    """
    priced: Priced = self._priced(flow, holdings)
    shares: uint256 = 0
    charge: Charge = empty(Charge)
    shares, charge = self._shares_for_withdrawal(priced, assets)
    return self._offer(priced, assets, shares, charge, queued_shares)


@external
@view
def redemption(
    flow: IBookFlows.Flow,
    holdings: IFlowRules.Holdings,
    queued_shares: uint256,
    shares: uint256,
) -> IFlowRules.Offer:
    """
    @notice Assets for `shares` burned, rounded down; zero when the charge takes everything.
    """
    priced: Priced = self._priced(flow, holdings)
    assets: uint256 = 0
    charge: Charge = empty(Charge)
    assets, charge = self._assets_for_redemption(priced, shares)
    return self._offer(priced, assets, shares, charge, queued_shares)


@external
@view
def fills(
    flow: IBookFlows.Flow,
    holdings: IFlowRules.Holdings,
    liquid: uint256,
    terms: IFlowRules.Terms,
    orders: DynArray[IFlowRules.Order, MAX_ORDERS],
) -> (IFlowRules.Offer, DynArray[IFlowRules.Fill, MAX_ORDERS]):
    """
    @notice One redemption after the other, as far as `liquid` goes.
    @return Their sum, and one fill for each order up to the first that had to wait.
    """
    priced: Priced = self._priced(flow, holdings)
    assert priced.equity > 0, "vault: equity not positive"
    self._check_premium(priced, terms.premium_tolerance_wad)
    total: IFlowRules.Offer = self._offer(priced, 0, 0, empty(Charge), 0)
    left: uint256 = liquid
    done: DynArray[IFlowRules.Fill, MAX_ORDERS] = []
    for order: IFlowRules.Order in orders:
        priced.base_charge_bps = 0 if order.base_free else holdings.base_charge_bps
        fill: IFlowRules.Fill = self._fill(priced, order, left, terms.min_shares)
        if fill.shares == 0 and not fill.lapsed:
            break
        done.append(fill)
        total.assets += fill.assets
        total.shares += fill.shares
        total.impact_charge += fill.impact_charge
        total.base_charge += fill.base_charge
        left -= fill.assets
        priced.supply -= fill.shares
        priced.held -= convert(fill.assets, int256)
        priced.equity = priced.held + priced.value
        priced.gap = self._gap(priced.held + priced.delta, priced.equity, priced.hedge_ratio_bps)
        if fill.shares != order.shares and not fill.lapsed:
            break
    return total, done


@external
@view
def most_entry(flow: IBookFlows.Flow, holdings: IFlowRules.Holdings) -> (uint256, uint256):
    """
    @notice The most that may enter now: assets and shares.
    @dev No more than the venue carries on one side: a larger gap has no cost to charge. Halved
         while the charge would take everything.
    """
    priced: Priced = self._priced(flow, holdings)
    if not self._entry_open(priced):
        return 0, 0
    assets: uint256 = self._room(priced)
    if priced.venue != empty(address) and priced.hedge_ratio_bps != 0:
        answered: bool = False
        market: IHedgeVenue.Market = empty(IHedgeVenue.Market)
        answered, market = venue_market.of(priced.venue, priced.price_wad)
        if not answered:
            return 0, 0
        assets = min(assets, market.max_side)
    shares: uint256 = 0
    for _: uint256 in range(HALVINGS):
        shares = self._shares_for_entry(priced, assets, self._entry_charge(priced, assets))
        if shares != 0:
            break
        assets = assets >> 1
    if shares == 0 or priced.supply + shares < priced.min_supply:
        return 0, 0
    return assets, shares


@external
@view
def most_exit(
    flow: IBookFlows.Flow,
    holdings: IFlowRules.Holdings,
    queued_shares: uint256,
    shares: uint256,
    free: uint256,
) -> (uint256, uint256):
    """
    @notice The most of `shares` that may be redeemed now: assets and shares.
    @dev Shares that an exit of all that is liquid would burn are rounded down, so that they do
         not pay out more than that.
    """
    priced: Priced = self._priced(flow, holdings)
    if priced.equity <= 0:
        return 0, 0
    liquid: uint256 = priced.idle + free
    reserved: uint256 = self._reserved(priced, queued_shares, 0, 0)
    most: uint256 = self._most_within(priced, shares, liquid - min(liquid, reserved))
    # What such an exit is charged makes the queue's shares dearer, a smaller one less so.
    assets: uint256 = self._assets_for_redemption(priced, most)[0]
    reserved = self._reserved(priced, queued_shares, assets, most)
    most = self._most_within(priced, shares, liquid - min(liquid, reserved))
    rest: uint256 = priced.supply - most
    if rest != 0 and rest < priced.min_supply:
        most -= min(most, priced.min_supply - rest)
    return self._assets_for_redemption(priced, most)[0], most


# ---------------------------------------------------------------------------------------------
# The queue's orders
# ---------------------------------------------------------------------------------------------


@internal
@view
def _fill(
    priced: Priced, order: IFlowRules.Order, liquid: uint256, min_shares: uint256
) -> IFlowRules.Fill:
    """
    @dev The minimum is held against the whole order at this price, also when only a part is
         filled. Nothing is filled when the part would be too small.
    """
    assets: uint256 = 0
    charge: Charge = empty(Charge)
    shares: uint256 = order.shares
    assets, charge = self._assets_for_redemption(priced, shares)
    if assets < max(order.min_assets, 1):
        return IFlowRules.Fill(shares=0, assets=0, impact_charge=0, base_charge=0, lapsed=True)
    rest: uint256 = priced.supply - shares
    if assets > liquid or (rest != 0 and rest < priced.min_supply):
        shares = min(shares, self._shares_within(priced, liquid))
        if shares < min_shares:
            return empty(IFlowRules.Fill)
        assets, charge = self._assets_for_redemption(priced, shares)
        if assets == 0 or assets > liquid:
            return empty(IFlowRules.Fill)
    return IFlowRules.Fill(
        shares=shares,
        assets=assets,
        impact_charge=charge.impact,
        base_charge=charge.base,
        lapsed=False,
    )


@internal
@view
def _check_premium(priced: Priced, tolerance_wad: uint256):
    """
    @dev A venue that does not answer has no premium that somebody could push.
    """
    if priced.venue == empty(address):
        return
    market: IHedgeVenue.Market = venue_market.of(priced.venue, priced.price_wad)[1]
    away: uint256 = fixed_point.magnitude(market.premium_wad - market.mean_premium_wad)
    assert away <= tolerance_wad, "queue: premium is off its mean"


# ---------------------------------------------------------------------------------------------
# Value
# ---------------------------------------------------------------------------------------------


@internal
@pure
def _priced(flow: IBookFlows.Flow, holdings: IFlowRules.Holdings) -> Priced:
    """
    @dev Without a price, which only happens before the first one, quote counts for nothing.
    """
    value: int256 = 0
    value_up: int256 = 0
    if flow.price_wad != 0:
        scaled: int256 = flow.quote_value * convert(holdings.price_divisor, int256)
        value = fixed_point.div_floor(scaled, convert(flow.price_wad, int256))
        value_up = fixed_point.div_ceil(scaled, convert(flow.price_wad, int256))
    held: int256 = convert(holdings.idle + flow.assets, int256)
    equity: int256 = held + value
    return Priced(
        price_wad=flow.price_wad,
        price_divisor=holdings.price_divisor,
        supply=holdings.supply,
        min_supply=holdings.min_supply,
        idle=holdings.idle,
        held=held,
        value=value,
        value_up=value_up,
        delta=flow.delta,
        equity=equity,
        gap=self._gap(held + flow.delta, equity, flow.hedge_ratio_bps),
        gap_limit=max(
            flow.gap_floor,
            fixed_point.mul_div_down(self._worth(equity), flow.gap_share_bps, BPS),
        ),
        hedge_ratio_bps=flow.hedge_ratio_bps,
        base_charge_bps=holdings.base_charge_bps,
        venue=flow.venue,
    )


@internal
@pure
def _gap(delta: int256, equity: int256, hedge_ratio_bps: uint256) -> int256:
    """
    @dev D - (1 - h) * E, the target rounded down.
    """
    share: int256 = convert(BPS, int256) - convert(hedge_ratio_bps, int256)
    return delta - fixed_point.div_floor(equity * share, convert(BPS, int256))


@internal
@pure
def _worth(equity: int256) -> uint256:
    return fixed_point.positive_part(equity)


# ---------------------------------------------------------------------------------------------
# Charges
# ---------------------------------------------------------------------------------------------


@internal
@view
def _hedge_costs(
    venue: address, price_wad: uint256, before: int256, after: int256, must_quote: bool
) -> (uint256, uint256):
    """
    @dev C(gap before) and C(gap after), quote, rounded up. Nothing without a venue, nor at one
         that does not quote, where it must not.
    """
    if venue == empty(address):
        return 0, 0
    sizes: int256[2] = [-before, -after]  # what closes each gap
    quoted: bool = False
    costs: Bytes[64] = b""
    quoted, costs = raw_call(
        venue,
        abi_encode(
            PERPETUAL,
            sizes,
            price_wad,
            method_id=method_id("hedge_costs(uint256,int256[2],uint256)"),
        ),
        max_outsize=64,
        gas=QUOTE_GAS,
        is_static_call=True,
        revert_on_failure=False,
    )
    if quoted and len(costs) == 64:
        return extract32(costs, 0, output_type=uint256), extract32(costs, 32, output_type=uint256)
    assert not must_quote, "vault: venue does not quote"
    return 0, 0


@internal
@view
def _impact(priced: Priced, assets: uint256, entry: bool) -> uint256:
    """
    @dev max(0, C(gap after) - C(gap before)) in asset units, rounded up. Beyond a gap of zero
         nothing is credited for closing it. At most MAX_IMPACT_BPS of what the gap moves by: who
         quotes more than any premium allows must not keep people from leaving.
    """
    moved: uint256 = fixed_point.mul_div_up(assets, priced.hedge_ratio_bps, BPS)
    if moved == 0:
        return 0
    step: int256 = convert(moved, int256)
    gap_after: int256 = priced.gap + step
    if not entry:
        gap_after = priced.gap - step
    if gap_after == 0:
        return 0
    credit: uint256 = 0
    cost: uint256 = 0
    credit, cost = self._hedge_costs(priced.venue, priced.price_wad, priced.gap, gap_after, entry)
    if priced.gap == 0 or (priced.gap > 0) != (gap_after > 0):
        credit = 0
    if cost <= credit:
        return 0
    value: uint256 = fixed_point.mul_div_up(moved, priced.price_wad, priced.price_divisor)
    most: uint256 = fixed_point.mul_div_up(value, MAX_IMPACT_BPS, BPS)
    return fixed_point.mul_div_up(min(cost - credit, most), priced.price_divisor, priced.price_wad)


@internal
@view
def _entry_charge(priced: Priced, assets: uint256) -> Charge:
    """
    @dev Grows with `assets`, which the bound of `issue` rests on.
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
        fixed_point.positive_part(priced.held + priced.value_up) + 1,
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
            fixed_point.positive_part(priced.held + priced.value_up) + 1,
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
    everything: uint256 = self._gross(priced.equity, priced.supply, priced.supply)
    if assets == everything:
        return priced.supply, empty(Charge)
    impact: uint256 = self._impact(priced, assets, False)
    gross: uint256 = fixed_point.mul_div_up(assets + impact, BPS, BPS - priced.base_charge_bps)
    shares: uint256 = fixed_point.mul_div_up(
        gross, priced.supply + VIRTUAL_SHARES, self._worth(priced.equity) + 1
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
    gross: uint256 = self._gross(priced.equity, priced.supply, shares)
    if shares == priced.supply:
        return gross, empty(Charge)
    base: uint256 = fixed_point.mul_div_up(gross, priced.base_charge_bps, BPS)
    impact: uint256 = min(self._impact(priced, gross - base, False), gross - base)
    return gross - base - impact, Charge(impact=impact, base=base)


@internal
@pure
def _gross(equity: int256, supply: uint256, shares: uint256) -> uint256:
    """
    @dev What `shares` are worth before charges, rounded down.
    """
    return fixed_point.mul_div_down(shares, self._worth(equity) + 1, supply + VIRTUAL_SHARES)


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
            fixed_point.positive_part(convert(priced.gap_limit, int256) - priced.gap),
            BPS,
            priced.hedge_ratio_bps,
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
def _shares_within(priced: Priced, liquid: uint256) -> uint256:
    """
    @dev Shares that pay out at most `liquid`, leaving the minimum supply.
    """
    impact: uint256 = self._impact(priced, liquid, False)
    gross: uint256 = fixed_point.mul_div_down(liquid + impact, BPS, BPS - priced.base_charge_bps)
    shares: uint256 = fixed_point.mul_div_down(
        gross, priced.supply + VIRTUAL_SHARES, self._worth(priced.equity) + 1
    )
    return min(shares, priced.supply - min(priced.supply, priced.min_supply))


@internal
@view
def _most_within(priced: Priced, shares: uint256, liquid: uint256) -> uint256:
    """
    @dev At most `shares`, and at most what `liquid` pays.
    """
    if self._assets_for_redemption(priced, shares)[0] <= liquid:
        return shares
    return min(shares, self._shares_within(priced, liquid))


@internal
@pure
def _reserved(priced: Priced, queued_shares: uint256, assets: uint256, shares: uint256) -> uint256:
    """
    @dev What the queue needs at most after an exit: its shares before charges, rounded up.
    """
    if queued_shares == 0:
        return 0
    worth: uint256 = self._worth(priced.equity)
    return fixed_point.mul_div_up(
        queued_shares,
        worth - min(worth, assets) + 1,
        priced.supply - min(priced.supply, shares) + VIRTUAL_SHARES,
    )


@internal
@view
def _offer(
    priced: Priced, assets: uint256, shares: uint256, charge: Charge, queued_shares: uint256
) -> IFlowRules.Offer:
    return IFlowRules.Offer(
        assets=assets,
        shares=shares,
        impact_charge=charge.impact,
        base_charge=charge.base,
        equity=priced.equity,
        gap=priced.gap,
        room=self._room(priced),
        entry_open=self._entry_open(priced),
        reserved=self._reserved(priced, queued_shares, assets, shares),
    )
