# SPDX-License-Identifier: MIT
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
"""
@title Exits while there is no price: a share of what is idle and a claim on the venues
@notice Holds the shares of those who left so, until the price is back, and then the shares that
     their claims are good for. With a good price nothing of this is open: there are exits from
     what is liquid, and the queue.
@dev Without a price shares cannot be valued, but they can be split. Let N be the supply, K the
     hollow shares, whose idle part was paid, and F = N - K the full ones; I what is idle, assets
     and quote, and V what is at the venues, which belongs to all N. With v virtual shares, as
     FlowRules has them:

         exit of s       gets s / (F + v) of the idle assets and of the idle quote
         a full share    is worth I / (F + v) + V / (N + v)

     so that an exit changes nothing for who stays. Until it is settled nothing may move between
     the idle part and the venues: the vault refuses all other flows, and the book all plans.

     `settle` turns the hollow shares into full ones of the same worth at the first good price. They
     are worth

         P = K * V / (N + v) - base charge on K * I / (F + v), at least zero

     the charge being what an exit at a price pays, on what was taken here, for the hedge that it
     left behind; not the impact, because anybody chooses the moment of a settlement, and could
     push a premium for it. m of them become full, P / m = (I + V - P) / (F + v), the rest is
     burned; the price of a share is then that of those who stayed, and the charge theirs. If nobody
     stayed there is nobody to receive a charge, and every hollow share becomes a full one.

     The claims of one round, between two settlements, are alike, and are an ERC-6909 token whose
     id is the round; those of two rounds are not. A round's claims get its shares in proportion.

     When: the price is bad now, somebody said so DELAY ago, and the book has seen no good one
     since; whoever sees one may also `retract`. An announcement lapses after WINDOW, so that none
     lies in wait for a price that fails for a minute.

     A venue that says nothing counts for nothing, for good as far as claims are concerned. While
     one is silent `settle` therefore only starts a clock, and goes on without it after PATIENCE:
     until then the vault stands still, because nobody may keep it so.

     Who brings little gas cannot make a price bad or a venue silent: what is left to the callers of
     a call that ran out of gas does not write a word. Both are asked before anything is written.
@custom:units Asset and quote amounts in raw units, shares and claims in raw share units, prices
     WAD, times in Unix seconds.
@custom:rounding Paid out and made full down, charges up.
@custom:halt It has no switch and no owner. With a good price nobody exits here; claims are
     transferred and settled rounds redeemed at any time.
@custom:access
     announce, retract, exit, settle, redeem       anyone  at once
     transfer, transferFrom, approve, setOperator  anyone  at once
"""

from ethereum.ercs import IERC20

from interfaces import IBookControl
from interfaces import IBookFlows
from interfaces import IExitInKind
from interfaces import IHedgeVault
from interfaces import IPriceOracle
from modules import claims
from modules import fixed_point

implements: IExitInKind

initializes: claims

exports: (
    claims.balanceOf,
    claims.allowance,
    claims.isOperator,
    claims.transfer,
    claims.transferFrom,
    claims.approve,
    claims.setOperator,
    claims.supportsInterface,
)

BPS: constant(uint256) = 10_000
VIRTUAL_SHARES: constant(uint256) = 10**3
MIN_DELAY: constant(uint256) = 86_400  # seconds; shorter outages are waited out
MAX_DELAY: constant(uint256) = 30 * 86_400
MAX_PATIENCE: constant(uint256) = 7 * 86_400
WINDOW: public(constant(uint256)) = 30 * 86_400  # seconds

BOOK: immutable(IBookFlows)
CONTROL: immutable(IBookControl)
ORACLE: immutable(IPriceOracle)
PRICE_DIVISOR: immutable(uint256)
DELAY: public(immutable(uint256))  # seconds
PATIENCE: public(immutable(uint256))  # seconds

announced_at: public(uint256)  # Unix seconds; zero when nobody did
waits_since: public(uint256)  # Unix seconds; zero while no settlement was put off
round: public(uint256)  # the one that exits are in now
hollow_shares: public(uint256)
_rounds: HashMap[uint256, IExitInKind.Round]


@deploy
def __init__(book: address, delay_secs: uint256, patience_secs: uint256):
    """
    @param book The HedgeBook whose vault is left here; the vault is built on both.
    @param delay_secs From the announcement of a bad price until the exit opens.
    @param patience_secs From a settlement that a silent venue put off until it is done without.
    """
    assert book != empty(address), "exit: book is zero"
    assert MIN_DELAY <= delay_secs and delay_secs <= MAX_DELAY, "exit: delay"
    assert 0 < patience_secs and patience_secs <= MAX_PATIENCE, "exit: patience"
    claims.__init__()
    BOOK = IBookFlows(book)
    CONTROL = IBookControl(book)
    ORACLE = IPriceOracle(staticcall IBookFlows(book).oracle())
    PRICE_DIVISOR = staticcall IBookFlows(book).price_divisor()
    DELAY = delay_secs
    PATIENCE = patience_secs


# ---------------------------------------------------------------------------------------------
# When
# ---------------------------------------------------------------------------------------------


@external
def announce():
    """
    @notice Say that there is no good price: exits open DELAY from now, if there is none till then.
    """
    self._require_no_price()
    announced_at: uint256 = self.announced_at
    lapsed: bool = self._closes_at(announced_at) <= block.timestamp
    assert (
        announced_at == 0 or lapsed or self._price_seen_since(announced_at)
    ), "exit: announced already"
    self.announced_at = block.timestamp
    log IExitInKind.ExitsAnnounced(
        sender=msg.sender,
        opens_at=block.timestamp + DELAY,
        closes_at=self._closes_at(block.timestamp),
    )


@external
def retract():
    """
    @notice Take an announcement back, because there is a good price.
    """
    assert self.announced_at != 0, "exit: not announced"
    price: IPriceOracle.Price = staticcall ORACLE.read()
    self._retract()


# ---------------------------------------------------------------------------------------------
# Those who leave
# ---------------------------------------------------------------------------------------------


@external
def exit(
    shares: uint256, receiver: address, owner: address, min_assets: uint256, min_quote: uint256
) -> (uint256, uint256):
    """
    @notice Give up shares for their part of the idle assets and quote, and as many claims.
    @param receiver Who gets assets, quote and claims.
    @param owner Whose shares; another caller needs his allowance in the vault.
    @param min_assets The least of the asset; others may exit first and plans may come before.
    @param min_quote The least of the quote token.
    @return Assets and quote paid, rounded down.
    """
    self._require_open()
    assert shares != 0, "exit: zero shares"
    vault: IHedgeVault = self._vault()
    assert receiver not in [
        empty(address), self, vault.address, BOOK.address, staticcall vault.queue()
    ], "exit: bad receiver"
    hollow: uint256 = self.hollow_shares
    round: uint256 = self.round
    self.hollow_shares = hollow + shares
    claims.mint(receiver, round, shares)
    assets: uint256 = 0
    quote: uint256 = 0
    assets, quote = extcall vault.pay_in_kind(shares, hollow, receiver, owner, msg.sender)
    assert min_assets <= assets, "exit: fewer assets than asked"
    assert min_quote <= quote, "exit: less quote than asked"
    log IExitInKind.ExitedInKind(
        round=round,
        owner=owner,
        receiver=receiver,
        shares=shares,
        assets=assets,
        quote=quote,
        hollow_after=hollow + shares,
    )
    return assets, quote


@external
def redeem(round: uint256, claims_given: uint256, receiver: address) -> uint256:
    """
    @notice Exchange the caller's claims of a settled round for shares of the vault.
    @return Shares, rounded down; who comes last gets what that left.
    """
    assert claims_given != 0, "exit: zero claims"
    assert round < self.round, "exit: round is not settled"
    vault: IHedgeVault = self._vault()
    assert receiver not in [empty(address), self, vault.address], "exit: bad receiver"
    claims.burn(msg.sender, round, claims_given)
    left: IExitInKind.Round = self._rounds[round]
    shares: uint256 = fixed_point.mul_div_down(claims_given, left.shares, left.claims)
    assert shares != 0, "exit: claims are worth nothing"
    left = IExitInKind.Round(claims=left.claims - claims_given, shares=left.shares - shares)
    self._rounds[round] = left
    log IExitInKind.ClaimsRedeemed(
        round=round,
        owner=msg.sender,
        receiver=receiver,
        claims=claims_given,
        shares=shares,
        claims_after=left.claims,
        shares_after=left.shares,
    )
    assert extcall IERC20(vault.address).transfer(receiver, shares), "exit: transfer failed"
    return shares


# ---------------------------------------------------------------------------------------------
# When the price is back
# ---------------------------------------------------------------------------------------------


@external
def settle() -> bool:
    """
    @notice Turn the hollow shares into full ones of the same worth, and open the vault again.
    @return Whether that was done. Not while a venue is silent: then PATIENCE begins.
    """
    hollow: uint256 = self.hollow_shares
    assert hollow != 0, "exit: nothing to settle"
    price: IPriceOracle.Price = staticcall ORACLE.read()
    apart: IBookControl.Apart = staticcall CONTROL.apart(price.price_wad)
    self._retract()
    if not apart.answers and not self._waited():
        return False
    vault: IHedgeVault = self._vault()
    idle_value: uint256 = self._idle_value(vault, apart, price.price_wad)
    shares: uint256 = 0
    charge: uint256 = 0
    shares, charge = self._full_shares(vault, hollow, idle_value, apart.venues_value)
    round: uint256 = self.round
    self.hollow_shares = 0
    self.waits_since = 0
    self.round = round + 1
    self._rounds[round] = IExitInKind.Round(claims=hollow, shares=shares)
    log IExitInKind.ExitsSettled(
        round=round,
        hollow=hollow,
        shares=shares,
        price_wad=price.price_wad,
        idle_value=idle_value,
        venues_value=apart.venues_value,
        charge=charge,
    )
    extcall vault.settle_in_kind(hollow - shares)
    return True


# ---------------------------------------------------------------------------------------------
# Views
# ---------------------------------------------------------------------------------------------


@external
@view
def settled_supply(price_wad: uint256) -> uint256:
    """
    @notice The vault's supply as a settlement at this price would leave it, all venues believed.
    """
    vault: IHedgeVault = self._vault()
    hollow: uint256 = self.hollow_shares
    supply: uint256 = staticcall IERC20(vault.address).totalSupply()
    if hollow == 0:
        return supply
    apart: IBookControl.Apart = staticcall CONTROL.apart(price_wad)
    idle_value: uint256 = self._idle_value(vault, apart, price_wad)
    return supply - hollow + self._full_shares(vault, hollow, idle_value, apart.venues_value)[0]


@external
@view
def round_of(id: uint256) -> IExitInKind.Round:
    """
    @notice What is left of a settled round; nothing of one that is not.
    """
    return self._rounds[id]


@external
@view
def book() -> address:
    return BOOK.address


@external
@view
def vault() -> address:
    return self._vault().address


# ---------------------------------------------------------------------------------------------
# Parts
# ---------------------------------------------------------------------------------------------


@internal
@view
def _require_open():
    """
    @dev In the order in which they come true.
    """
    announced_at: uint256 = self.announced_at
    assert announced_at != 0, "exit: not announced"
    assert block.timestamp >= announced_at + DELAY, "exit: too early"
    assert block.timestamp < self._closes_at(announced_at), "exit: announcement lapsed"
    self._require_no_price()
    assert not self._price_seen_since(announced_at), "exit: a good price was seen"


@internal
@view
def _require_no_price():
    ok: bool = False
    price: IPriceOracle.Price = empty(IPriceOracle.Price)
    reason: String[32] = ""
    ok, price, reason = staticcall ORACLE.try_read()
    assert not ok, "exit: there is a good price"


@internal
@view
def _price_seen_since(announced_at: uint256) -> bool:
    return staticcall CONTROL.last_price_at() >= announced_at


@internal
@view
def _closes_at(announced_at: uint256) -> uint256:
    return announced_at + DELAY + WINDOW


@internal
def _retract():
    announced_at: uint256 = self.announced_at
    if announced_at != 0:
        self.announced_at = 0
        log IExitInKind.AnnouncementRetracted(announced_before_at=announced_at)


@internal
def _waited() -> bool:
    """
    @dev Starts the clock the first time.
    """
    waits_since: uint256 = self.waits_since
    if waits_since == 0:
        self.waits_since = block.timestamp
        log IExitInKind.SettlementWaits(waits_since=block.timestamp)
        return False
    assert block.timestamp >= waits_since + PATIENCE, "exit: a venue is silent"
    return True


@internal
@view
def _idle_value(vault: IHedgeVault, apart: IBookControl.Apart, price_wad: uint256) -> uint256:
    """
    @dev Quote, rounded down.
    """
    assets: uint256 = staticcall vault.idle_assets()
    return fixed_point.mul_div_down(assets, price_wad, PRICE_DIVISOR) + apart.idle_quote


@internal
@view
def _full_shares(
    vault: IHedgeVault, hollow: uint256, idle_value: uint256, venues_value: uint256
) -> (uint256, uint256):
    """
    @dev The virtual shares stay, with the virtual unit that is added to what is idle.
    @return Full shares for the hollow ones, rounded down, and the charge, quote, rounded up.
    """
    supply: uint256 = staticcall IERC20(vault.address).totalSupply()
    if supply == hollow:
        return hollow, 0
    full: uint256 = supply - hollow + VIRTUAL_SHARES
    part: uint256 = fixed_point.mul_div_down(hollow, venues_value, supply + VIRTUAL_SHARES)
    taken: uint256 = fixed_point.mul_div_up(hollow, idle_value, full)
    charge: uint256 = fixed_point.mul_div_up(taken, staticcall vault.base_charge_bps(), BPS)
    charge = min(charge, part)
    worth: uint256 = part - charge
    rest: uint256 = idle_value + 1 + venues_value - worth
    return fixed_point.mul_div_down(worth, full, rest), charge


@internal
@view
def _vault() -> IHedgeVault:
    return IHedgeVault(staticcall BOOK.vault())
