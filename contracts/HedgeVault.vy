# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
# pragma optimize codesize
"""
@title What depositors own: shares of a hedged position, ERC-4626
@notice Holds idle assets. Everything else that belongs to the vault is in its HedgeBook, which
     also reads the oracle.
@dev What a flow is worth and what it is charged is in FlowRules, a contract without state; here
     is what happens then. The supply is zero or at least MIN_SUPPLY.

     Exits at once get what is liquid, idle or free margin, beyond what the RedemptionQueue needs at
     this price; as much as the queue needs is made idle in the same call, so that nobody is paid
     before it out of margin that a venue may not give back. The queue's requests are paid through
     `fill`, into the queue, where they belong to its owners and no longer to the vault.

     Without a price ExitInKind has parts of what is idle paid out and keeps the shares, hollow then.
     Until it has settled them nothing else moves here, and `convertTo*` answer as if it had.
@custom:units Asset amounts in raw asset units under 2**112, shares in raw units of OFFSET more
     decimals, prices WAD between 1e6 and 1e30. Gap too long positive.
@custom:rounding For the vault: shares minted and assets paid out down, the rest up.
@custom:halt The guardian pauses entry (modules/pause.vy), the owner can lift it. Nobody enters
     while a venue fails, has lost part of the hedge or is not worth what it should be, nor once the
     book unwinds. Exits cannot be paused; they stop while there is no good price and while equity
     is not positive, but for exits in kind.
@custom:access
     deposit, mint, withdraw, redeem          anyone    at once
     transfer, transferFrom, approve, permit  anyone    at once
     pause_entry, lift_entry_pause            guardian  at once
     lift_entry_pause, set_base_charge        owner     delay
     transfer_ownership                       owner     delay
     accept_ownership                         offered   at once
     release, credit                          book      at once
     fill                                     queue     at once
     pay_in_kind, settle_in_kind              exit      at once
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from ethereum.ercs import IERC4626
from snekmate.auth import ownable
from snekmate.auth import ownable_2step
from snekmate.tokens import erc20

from interfaces import IBookControl
from interfaces import IBookFlows
from interfaces import IExitInKind
from interfaces import IFlowRules
from interfaces import IHedgeVault
from interfaces import IPriceOracle
from interfaces import IRedemptionQueue
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

BPS: constant(uint256) = 10_000

OFFSET: public(constant(uint8)) = 3  # decimals of a share over those of the asset
VIRTUAL_SHARES: constant(uint256) = 10**3
MIN_SUPPLY_DIGITS: constant(uint256) = 3  # the minimum supply is 0.001 of an asset at the start
MAX_BASE_CHARGE_BPS: constant(uint256) = 500
MAX_ORDERS: constant(uint256) = 50

BOOK: immutable(IBookFlows)
RULES: immutable(IFlowRules)
QUEUE: immutable(IRedemptionQueue)
EXIT: immutable(IExitInKind)
ASSET: immutable(IERC20)
PRICE_DIVISOR: immutable(uint256)
MIN_SUPPLY: public(immutable(uint256))

# idle assets 128 | base charge bps 16 | entry paused until 40 | next pause not before 40 |
# exits in kind are not settled 1
_ledger: uint256


@deploy
def __init__(
    book: address,
    rules: address,
    queue: address,
    exit_in_kind: address,
    name: String[25],
    symbol: String[5],
    base_charge_bps: uint256,
):
    """
    @param book The HedgeBook; it must be told of this vault by its owner.
    @param rules A FlowRules.
    @param queue The RedemptionQueue of the same book.
    @param exit_in_kind The ExitInKind of the same book.
    @param base_charge_bps At least hedge ratio * deviation thresholds of the feeds.
    """
    assert book != empty(address), "vault: book is zero"
    assert rules != empty(address), "vault: rules is zero"
    assert queue != empty(address), "vault: queue is zero"
    assert staticcall IRedemptionQueue(queue).book() == book, "vault: queue of another book"
    assert exit_in_kind != empty(address), "vault: exit is zero"
    assert staticcall IExitInKind(exit_in_kind).book() == book, "vault: exit of another book"
    BOOK = IBookFlows(book)
    RULES = IFlowRules(rules)
    QUEUE = IRedemptionQueue(queue)
    EXIT = IExitInKind(exit_in_kind)
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
    flow: IBookFlows.Flow = extcall BOOK.open_flow(self._settled_idle())
    offer: IFlowRules.Offer = staticcall RULES.entry(flow, self._holdings(), assets)
    self._require_bound(min_shares <= offer.shares)
    self._enter(flow, offer, receiver)
    return offer.shares


@external
def mint(shares: uint256, receiver: address, max_assets: uint256 = max_value(uint256)) -> uint256:
    """
    @notice Get exactly `shares`; pulls from the caller what `previewMint` says, which may be
        a little over what `deposit` would ask for as many.
    @param max_assets The most to be paid in.
    @return Assets paid in, rounded up.
    """
    flow: IBookFlows.Flow = extcall BOOK.open_flow(self._settled_idle())
    offer: IFlowRules.Offer = staticcall RULES.issue(flow, self._holdings(), shares)
    self._require_bound(offer.assets <= max_assets)
    self._enter(flow, offer, receiver)
    return offer.assets


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
    flow: IBookFlows.Flow = extcall BOOK.open_flow(self._settled_idle())
    offer: IFlowRules.Offer = staticcall RULES.withdrawal(
        flow, self._holdings(), staticcall QUEUE.pending_shares(), assets
    )
    self._require_bound(offer.shares <= max_shares)
    self._leave(flow.price_wad, offer, receiver, owner)
    return offer.shares


@external
def redeem(shares: uint256, receiver: address, owner: address, min_assets: uint256 = 0) -> uint256:
    """
    @notice Burn exactly `shares`, paid out from idle and then from free margin.
    @param owner Whose shares are burned; another caller needs his allowance.
    @param min_assets The least to be paid out.
    @return Assets paid out, rounded down.
    """
    flow: IBookFlows.Flow = extcall BOOK.open_flow(self._settled_idle())
    offer: IFlowRules.Offer = staticcall RULES.redemption(
        flow, self._holdings(), staticcall QUEUE.pending_shares(), shares
    )
    self._require_bound(min_assets <= offer.assets)
    self._leave(flow.price_wad, offer, receiver, owner)
    return offer.assets


# ---------------------------------------------------------------------------------------------
# The book's
# ---------------------------------------------------------------------------------------------


@external
def release(assets: uint256):
    """
    @notice Send idle assets to the book, for margin or a spot sale.
    """
    assert msg.sender == BOOK.address, "vault: caller is not the book"
    idle: uint256 = self._settled_idle()
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
    idle: uint256 = self._settled_idle() + assets
    self._set_idle(idle)
    self._require_held(idle)
    log IHedgeVault.IdleMoved(assets=convert(assets, int256), idle_assets_after=idle)


# ---------------------------------------------------------------------------------------------
# The queue's
# ---------------------------------------------------------------------------------------------


@external
def fill(
    terms: IFlowRules.Terms, orders: DynArray[IFlowRules.Order, MAX_ORDERS]
) -> (uint256, DynArray[IFlowRules.Fill, MAX_ORDERS]):
    """
    @notice Redeem the queue's shares in the order given, as far as what is liquid goes.
    @dev Margin is asked for before anything is priced: what a venue does not give back is not
         liquid, and then the rest waits.
    @return The price, and one fill for each order up to the first that had to wait.
    """
    assert msg.sender == QUEUE.address, "vault: caller is not the queue"
    flow: IBookFlows.Flow = extcall BOOK.open_flow(self._settled_idle())
    holdings: IFlowRules.Holdings = self._holdings()
    shares: uint256 = 0
    for order: IFlowRules.Order in orders:
        shares += order.shares
    liquid: uint256 = self._made_liquid(self._worth_of(flow, shares), flow.price_wad)
    total: IFlowRules.Offer = empty(IFlowRules.Offer)
    fills: DynArray[IFlowRules.Fill, MAX_ORDERS] = []
    total, fills = staticcall RULES.fills(flow, holdings, liquid, terms, orders)
    self._burn(QUEUE.address, total.shares)
    self._pay_out(flow.price_wad, total, liquid, QUEUE.address, QUEUE.address)
    return flow.price_wad, fills


# ---------------------------------------------------------------------------------------------
# The exit's
# ---------------------------------------------------------------------------------------------


@external
def pay_in_kind(
    shares: uint256, hollow_shares: uint256, receiver: address, owner: address, sender: address
) -> (uint256, uint256):
    """
    @notice Pay a part of the idle assets and quote, and take the shares into escrow.
    @dev What is idle belongs to the shares that are not hollow and to the virtual ones.
    @return Assets and quote, rounded down.
    """
    self._only_exit()
    if sender != owner:
        erc20._spend_allowance(owner, sender, shares)
    erc20._transfer(owner, EXIT.address, shares)
    full: uint256 = erc20.totalSupply - hollow_shares
    self._require_supply(full - shares)
    whole: uint256 = full + VIRTUAL_SHARES
    idle: uint256 = self._idle()
    assets: uint256 = fixed_point.mul_div_down(idle, shares, whole)
    self._set_idle(idle - assets)
    self._set_unsettled(1)
    log IHedgeVault.PaidInKind(
        owner=owner,
        receiver=receiver,
        shares=shares,
        assets=assets,
        idle_assets_after=idle - assets,
    )
    quote: uint256 = extcall IBookControl(BOOK.address).pay_in_kind(shares, whole, receiver)
    if assets != 0:
        self._push(receiver, assets)
    return assets, quote


@external
def settle_in_kind(burned_shares: uint256):
    """
    @notice Burn what the hollow shares are not worth, and open the vault again.
    """
    self._only_exit()
    self._set_unsettled(0)
    self._burn(EXIT.address, burned_shares)
    log IHedgeVault.SettledInKind(burned_shares=burned_shares, supply_after=erc20.totalSupply)


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
def rules() -> address:
    return RULES.address


@external
@view
def queue() -> address:
    return QUEUE.address


@external
@view
def exit_in_kind() -> address:
    return EXIT.address


@external
@view
def idle_assets() -> uint256:
    """
    @notice Assets that are here by the ledger; tokens sent without a call do not count.
    """
    return self._idle()


@external
@view
def settled_idle_assets() -> uint256:
    """
    @notice The same for who would move them: reverts while exits in kind are not settled.
    """
    return self._settled_idle()


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
    return staticcall RULES.worth(staticcall BOOK.flow(), self._holdings())


@external
@view
def convertToShares(assets: uint256) -> uint256:
    """
    @notice Shares worth `assets`, without charges, rounded down.
    """
    flow: IBookFlows.Flow = staticcall BOOK.flow()
    supply: uint256 = self._supply(flow.price_wad)
    if supply == 0:
        return assets * VIRTUAL_SHARES
    worth: uint256 = staticcall RULES.worth(flow, self._holdings())
    return fixed_point.mul_div_down(assets, supply + VIRTUAL_SHARES, worth + 1)


@external
@view
def convertToAssets(shares: uint256) -> uint256:
    """
    @notice What `shares` are worth, without charges, rounded down.
    """
    return self._worth_of(staticcall BOOK.flow(), shares)


@external
@view
def previewDeposit(assets: uint256) -> uint256:
    """
    @notice Exactly what `deposit` would mint now, charges taken.
    """
    return (staticcall RULES.entry(self._preview(), self._holdings(), assets)).shares


@external
@view
def previewMint(shares: uint256) -> uint256:
    """
    @notice Exactly what `mint` would ask for now, charges included.
    """
    return (staticcall RULES.issue(self._preview(), self._holdings(), shares)).assets


@external
@view
def previewWithdraw(assets: uint256) -> uint256:
    """
    @notice Exactly what `withdraw` would burn now, charges included.
    """
    return (staticcall RULES.withdrawal(self._preview(), self._holdings(), 0, assets)).shares


@external
@view
def previewRedeem(shares: uint256) -> uint256:
    """
    @notice Exactly what `redeem` would pay out now, charges taken.
    """
    return (staticcall RULES.redemption(self._preview(), self._holdings(), 0, shares)).assets


@external
@view
def maxDeposit(receiver: address) -> uint256:
    """
    @notice The most that may be paid in now. Zero while there is no good price, entry is
        paused or the hedge is not sound.
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
@view
def _preview() -> IBookFlows.Flow:
    flow: IBookFlows.Flow = staticcall BOOK.flow()
    assert flow.price_ok, "vault: no good price"
    self._require_settled()
    return flow


@internal
@view
def _holdings() -> IFlowRules.Holdings:
    return IFlowRules.Holdings(
        idle=self._idle(),
        supply=erc20.totalSupply,
        min_supply=MIN_SUPPLY,
        base_charge_bps=self._base_charge_bps(),
        price_divisor=PRICE_DIVISOR,
    )


@internal
@view
def _supply(price_wad: uint256) -> uint256:
    """
    @dev As it would be if exits in kind were settled.
    """
    if self._unsettled():
        return staticcall EXIT.settled_supply(price_wad)
    return erc20.totalSupply


@internal
@view
def _worth_of(flow: IBookFlows.Flow, shares: uint256) -> uint256:
    """
    @dev Before charges, rounded down.
    """
    supply: uint256 = self._supply(flow.price_wad)
    if supply == 0:
        return fixed_point.mul_div_down(shares, 1, VIRTUAL_SHARES)
    worth: uint256 = staticcall RULES.worth(flow, self._holdings())
    return fixed_point.mul_div_down(shares, worth + 1, supply + VIRTUAL_SHARES)


@internal
@view
def _max_entry() -> (uint256, uint256):
    """
    @return Assets and shares.
    """
    flow: IBookFlows.Flow = staticcall BOOK.flow()
    if not flow.price_ok or not flow.sound or block.timestamp < self._paused_until():
        return 0, 0
    if self._unsettled():
        return 0, 0
    return staticcall RULES.most_entry(flow, self._holdings())


@internal
@view
def _max_exit(owner: address) -> (uint256, uint256):
    """
    @return Assets and shares.
    """
    flow: IBookFlows.Flow = staticcall BOOK.flow()
    shares: uint256 = erc20.balanceOf[owner]
    if not flow.price_ok or shares == 0 or self._unsettled():
        return 0, 0
    return staticcall RULES.most_exit(
        flow,
        self._holdings(),
        staticcall QUEUE.pending_shares(),
        shares,
        staticcall BOOK.free_assets(flow.price_wad),
    )


@internal
@view
def _only_exit():
    assert msg.sender == EXIT.address, "vault: caller is not the exit"


@internal
@pure
def _require_bound(kept: bool):
    assert kept, "vault: bound of the caller"


# ---------------------------------------------------------------------------------------------
# Moving
# ---------------------------------------------------------------------------------------------


@internal
def _enter(flow: IBookFlows.Flow, offer: IFlowRules.Offer, receiver: address):
    """
    @dev State before the tokens. Reverts with one reason for each rule.
    """
    self._require_parties(offer.assets, receiver)
    assert block.timestamp >= self._paused_until(), "vault: entry is paused"
    assert flow.sound, "vault: hedge is not sound"
    assert offer.entry_open, "vault: equity not positive"
    assert offer.assets <= offer.room, "vault: gap over its limit"
    assert offer.shares != 0, "vault: zero shares"
    supply_before: uint256 = erc20.totalSupply
    self._require_supply(supply_before + offer.shares)
    idle_after: uint256 = self._idle() + offer.assets
    self._set_idle(idle_after)
    erc20._mint(receiver, offer.shares)
    log IERC4626.Deposit(
        sender=msg.sender, owner=receiver, assets=offer.assets, shares=offer.shares
    )
    self._log_flow(flow.price_wad, offer, receiver, 1, supply_before, idle_after)
    assert extcall ASSET.transferFrom(
        msg.sender, self, offer.assets, default_return_value=True
    ), "vault: transfer failed"
    self._require_held(idle_after)


@internal
def _leave(price_wad: uint256, offer: IFlowRules.Offer, receiver: address, owner: address):
    """
    @dev Shares are burned before margin is asked for. What the queue needs is made liquid as
         well, and stays.
    """
    assert offer.equity > 0, "vault: equity not positive"
    self._require_parties(offer.assets, receiver)
    if msg.sender != owner:
        erc20._spend_allowance(owner, msg.sender, offer.shares)
    self._burn(owner, offer.shares)
    needed: uint256 = offer.assets + offer.reserved
    liquid: uint256 = self._made_liquid(needed, price_wad)
    assert needed <= liquid, "vault: not enough liquid"
    self._pay_out(price_wad, offer, liquid, receiver, owner)


@internal
def _made_liquid(assets: uint256, price_wad: uint256) -> uint256:
    """
    @dev The caller writes what is returned to the ledger. The lock of this vault is held.
    @return Idle assets, after margin was freed if they were fewer than `assets`.
    """
    liquid: uint256 = self._idle()
    if assets > liquid:
        liquid += extcall BOOK.free_margin(assets - liquid, price_wad)
        self._require_held(liquid)
    return liquid


@internal
def _burn(owner: address, shares: uint256):
    erc20._burn(owner, shares)
    self._require_supply(erc20.totalSupply)


@internal
@view
def _require_supply(shares: uint256):
    assert shares == 0 or shares >= MIN_SUPPLY, "vault: supply under minimum"


@internal
def _pay_out(
    price_wad: uint256,
    offer: IFlowRules.Offer,
    liquid: uint256,
    receiver: address,
    owner: address,
):
    """
    @dev The ledger before the tokens; the shares are burned already.
    """
    idle_after: uint256 = liquid - offer.assets
    self._set_idle(idle_after)
    if offer.shares != 0:
        log IERC4626.Withdraw(
            sender=msg.sender,
            receiver=receiver,
            owner=owner,
            assets=offer.assets,
            shares=offer.shares,
        )
    self._log_flow(price_wad, offer, owner, -1, erc20.totalSupply + offer.shares, idle_after)
    if offer.assets != 0:
        self._push(receiver, offer.assets)


@internal
def _log_flow(
    price_wad: uint256,
    offer: IFlowRules.Offer,
    account: address,
    direction: int256,
    supply_before: uint256,
    idle_assets_after: uint256,
):
    log IHedgeVault.FlowPriced(
        account=account,
        assets=direction * convert(offer.assets, int256),
        shares=direction * convert(offer.shares, int256),
        impact_charge=offer.impact_charge,
        base_charge=offer.base_charge,
        price_wad=price_wad,
        equity_before=offer.equity,
        gap_before=offer.gap,
        supply_before=supply_before,
        idle_assets_after=idle_assets_after,
    )


@internal
@view
def _require_parties(assets: uint256, receiver: address):
    assert assets != 0, "vault: zero assets"
    assert receiver not in [empty(address), self], "vault: bad receiver"


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
def _settled_idle() -> uint256:
    """
    @dev What every call reads that would move something between the idle part and the venues.
    """
    self._require_settled()
    return self._idle()


@internal
@view
def _unsettled() -> bool:
    return packed.part(self._ledger, 224, 1) != 0


@internal
@view
def _require_settled():
    assert not self._unsettled(), "vault: exits in kind unsettled"


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
def _set_unsettled(unsettled: uint256):
    self._ledger = packed.replace(self._ledger, unsettled, 224, 1)


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
