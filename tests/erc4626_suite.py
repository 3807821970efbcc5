# SPDX-License-Identifier: MIT
"""
ERC-4626 as a stranger reads it: each sentence of the standard is a property of a deployed vault.

Written from the text of the standard alone. A property knows an address, what the standard's
interface says, and a way to give tokens to accounts; nothing of what the vault does inside. Where
deposits or exits are closed, properties that need them do not apply, and those say so
(`needs`); that they are closed is then what a property of its own tests.

Sentences are quoted in short, "..." for what was left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boa
from eth_abi import decode as abi_decode
from eth_abi import encode as abi_encode
from eth_utils import keccak, to_checksum_address

MAX_UINT = 2**256 - 1
NOBODY = "0x" + "00" * 20
UNREASONABLE = 2**128  # what the standard lets revert "due to integer overflow" lies beyond

_UINT, _ADDRESS = "uint256", "address"
_VIEWS = {
    "name": ([], "string"),
    "symbol": ([], "string"),
    "decimals": ([], "uint8"),
    "totalSupply": ([], _UINT),
    "balanceOf": ([_ADDRESS], _UINT),
    "allowance": ([_ADDRESS, _ADDRESS], _UINT),
    "asset": ([], _ADDRESS),
    "totalAssets": ([], _UINT),
    "convertToShares": ([_UINT], _UINT),
    "convertToAssets": ([_UINT], _UINT),
    "maxDeposit": ([_ADDRESS], _UINT),
    "maxMint": ([_ADDRESS], _UINT),
    "maxWithdraw": ([_ADDRESS], _UINT),
    "maxRedeem": ([_ADDRESS], _UINT),
    "previewDeposit": ([_UINT], _UINT),
    "previewMint": ([_UINT], _UINT),
    "previewWithdraw": ([_UINT], _UINT),
    "previewRedeem": ([_UINT], _UINT),
}
_CALLS = {
    "transfer": ([_ADDRESS, _UINT], "bool"),
    "transferFrom": ([_ADDRESS, _ADDRESS, _UINT], "bool"),
    "approve": ([_ADDRESS, _UINT], "bool"),
    "deposit": ([_UINT, _ADDRESS], _UINT),
    "mint": ([_UINT, _ADDRESS], _UINT),
    "withdraw": ([_UINT, _ADDRESS, _ADDRESS], _UINT),
    "redeem": ([_UINT, _ADDRESS, _ADDRESS], _UINT),
}
DEPOSIT = keccak(text="Deposit(address,address,uint256,uint256)")
WITHDRAW = keccak(text="Withdraw(address,address,address,uint256,uint256)")


class Refused(Exception):
    """A call was reverted."""


class Remote:
    """A contract known by its address and by what the standard says it has."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.logs: list[Any] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a call of the standard's interface; it raises `Refused` when it is reverted."""
        inputs, output = (_VIEWS | _CALLS)[name]
        selector = keccak(text=f"{name}({','.join(inputs)})")[:4]

        def call(*arguments: Any, sender: str | None = None) -> Any:
            computation = boa.env.execute_code(
                to_address=self.address,
                sender=sender,
                data=selector + abi_encode(inputs, arguments),
                is_modifying=name in _CALLS,
            )
            if computation.is_error:
                raise Refused(name, *computation.error.args)
            self.logs = list(computation.get_raw_log_entries())
            (value,) = abi_decode([output], computation.output)
            return value

        return call


@dataclass
class Subject:
    """
    A vault in some state.

    Parameters
    ----------
    address : str
        Of the vault.
    give : callable
        Gives so many assets to an account.
    amount : int
        Assets that are an ordinary deposit here.
    holder : str, optional
        Who owns shares; without one, shares come from a deposit.
    closed : frozenset of str
        ``entry`` and ``exit``: what the vault does not do in this state, and ``price``: it cannot
        say what a share costs.
    """

    address: str
    give: Callable[[str, int], None]
    amount: int
    holder: str | None = None
    closed: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def vault(self) -> Remote:
        return Remote(self.address)

    @cached_property
    def asset(self) -> Remote:
        return Remote(self.vault.asset())

    def amounts(self, most: int) -> Iterator[int]:
        """Yield amounts up to `most`: an odd one, a small one, an ordinary one, the most."""
        ordinary = min(most, self.amount)
        some = {ordinary, ordinary // 3 + 1, ordinary // 7 * 3 + 1, min(most, 3 * ordinary)}
        yield from sorted(number for number in some if number <= most)

    def stranger(self, name: str = "stranger") -> str:
        """Return an account that has nothing yet; the same one for the same name."""
        return to_checksum_address(keccak(text=name)[-20:])

    def payer(self, assets: int, name: str = "payer") -> str:
        """Return an account with assets that the vault may take."""
        account = self.stranger(name)
        self.give(account, assets)
        self.asset.approve(self.address, assets, sender=account)
        return account

    def shareholder(self) -> str:
        if self.holder is not None:
            return self.holder
        account = self.payer(self.amount, "shareholder")
        self.vault.deposit(self.amount, account, sender=account)
        return account

    def events(self, topic: bytes) -> list[tuple[list[str], list[int]]]:
        """Return accounts and numbers of the vault's events of a kind, of the last call."""
        found = []
        for _, address, topics, data in self.vault.logs:
            if address != bytes.fromhex(self.address[2:]) or topics[0] != int.from_bytes(topic):
                continue
            accounts = ["0x" + t.to_bytes(32, "big")[12:].hex() for t in topics[1:]]
            numbers = [int.from_bytes(data[i : i + 32], "big") for i in range(0, len(data), 32)]
            found.append((accounts, numbers))
        return found


@dataclass(frozen=True)
class Property:
    """A sentence of the standard, and what shows that a vault keeps it."""

    name: str
    sentence: str
    check: Callable[[Subject], None]
    needs: frozenset[str]


PROPERTIES: dict[str, Property] = {}


Check = Callable[[Subject], None]


def sentence(text: str, *needs: str) -> Callable[[Check], Check]:
    """Register a property under its function's name."""

    def register(check: Check) -> Check:
        PROPERTIES[check.__name__] = Property(check.__name__, text, check, frozenset(needs))
        return check

    return register


def reverts(call: Callable[[], Any]) -> bool:
    try:
        call()
    except Refused:
        return True
    return False


ENTRY, EXIT, PRICE = "entry", "exit", "price"


# The share token


@sentence("All ERC-4626 tokenized Vaults MUST implement ERC-20 to represent shares.", ENTRY)
def shares__are_a_token(s: Subject) -> None:
    owner, other, third = s.shareholder(), s.stranger("other"), s.stranger("third")
    held, supply = s.vault.balanceOf(owner), s.vault.totalSupply()
    assert 0 < held <= supply
    assert s.vault.transfer(other, held // 3, sender=owner)
    assert (s.vault.balanceOf(owner), s.vault.balanceOf(other)) == (held - held // 3, held // 3)
    assert reverts(lambda: s.vault.transferFrom(owner, other, 1, sender=third))
    assert s.vault.approve(third, 10, sender=owner)
    assert s.vault.transferFrom(owner, other, 4, sender=third)
    assert s.vault.allowance(owner, third) == 6
    assert s.vault.totalSupply() == supply


@sentence("... MUST implement ERC-20's optional metadata extensions.")
def shares__have_metadata(s: Subject) -> None:
    assert s.vault.name()
    assert s.vault.symbol()
    assert 0 < s.vault.decimals() <= 255


@sentence("name and symbol SHOULD reflect the underlying token's name and symbol in some way.")
def shares__symbol_reflects_the_asset(s: Subject) -> None:
    assert s.asset.symbol().lower() in s.vault.symbol().lower()


@sentence("... it is still strongly recommended to mirror the underlying token's decimals ...")
def shares__decimals_mirror_the_assets(s: Subject) -> None:
    assert s.vault.decimals() == s.asset.decimals()


# asset, totalAssets


@sentence("asset: MUST be an ERC-20 token contract. MUST NOT revert.")
def asset__is_a_token(s: Subject) -> None:
    account, other = s.stranger(), s.stranger("other")
    s.give(account, 10)
    assert s.asset.balanceOf(account) == 10
    assert s.asset.transfer(other, 4, sender=account)
    assert s.asset.balanceOf(other) == 4
    assert s.asset.totalSupply() >= 10


@sentence("totalAssets: MUST NOT revert.")
def total_assets__answers(s: Subject) -> None:
    assert s.vault.totalAssets() >= 0


@sentence("totalAssets: total amount of the underlying asset that is managed by the Vault.", ENTRY)
def total_assets__grows_by_what_is_deposited(s: Subject) -> None:
    payer, before = s.payer(s.amount), s.vault.totalAssets()
    s.vault.deposit(s.amount, payer, sender=payer)
    assert s.vault.totalAssets() == before + s.amount


@sentence(
    "totalAssets: MUST be inclusive of any fees that are charged against assets.", ENTRY, EXIT
)
def total_assets__nobody_owns_more(s: Subject) -> None:
    owner = s.shareholder()
    assert s.vault.convertToAssets(s.vault.balanceOf(owner)) <= s.vault.totalAssets()
    assert s.vault.convertToAssets(s.vault.totalSupply()) <= s.vault.totalAssets()
    assert s.vault.maxWithdraw(owner) <= s.vault.totalAssets()


# convertToShares, convertToAssets


@sentence(
    "convertTo*: MUST NOT revert unless due to integer overflow ... unreasonably large input."
)
def convert__answers(s: Subject) -> None:
    for number in (0, 1, s.amount, 10**30, UNREASONABLE - 1):
        s.vault.convertToShares(number)
        s.vault.convertToAssets(number)


@sentence("convertTo*: MUST NOT show any variations depending on the caller.")
def convert__same_for_everybody(s: Subject) -> None:
    callers = [s.stranger(), s.holder or s.stranger("other"), s.address]
    for convert in (s.vault.convertToShares, s.vault.convertToAssets):
        assert len({convert(s.amount, sender=caller) for caller in callers}) == 1


@sentence("convertTo*: these functions MUST both always round down towards 0.")
def convert__rounds_down(s: Subject) -> None:
    assert (s.vault.convertToShares(0), s.vault.convertToAssets(0)) == (0, 0)
    for assets in (1, 3, s.amount // 3 + 1, s.amount):
        assert s.vault.convertToAssets(s.vault.convertToShares(assets)) <= assets
    for shares in (1, 3, 1_001, s.vault.convertToShares(s.amount) // 7 * 3 + 1):
        assert s.vault.convertToShares(s.vault.convertToAssets(shares)) <= shares


@sentence("convertTo*: MUST NOT reflect slippage or other on-chain conditions ...")
def convert__is_one_price(s: Subject) -> None:
    """Many times the amount is worth as many times as much, to the unit of each part."""
    for convert in (s.vault.convertToShares, s.vault.convertToAssets):
        one, many = convert(s.amount), convert(1_000 * s.amount)
        assert 1_000 * one <= many < 1_000 * (one + 1)


@sentence("convertTo*: MUST NOT be inclusive of any fees ... against assets in the Vault.", PRICE)
def convert__is_no_worse_than_the_previews(s: Subject) -> None:
    """Who ignores fees sees no worse price than who pays them."""
    some_shares = s.vault.convertToShares(s.amount)
    assert s.vault.previewDeposit(s.amount) <= s.vault.convertToShares(s.amount)
    assert s.vault.previewMint(some_shares) >= s.vault.convertToAssets(some_shares)
    assert s.vault.previewWithdraw(s.amount) >= s.vault.convertToShares(s.amount)
    assert s.vault.previewRedeem(some_shares) <= s.vault.convertToAssets(some_shares)


# max*


@sentence("max*: MUST NOT revert.")
def most__answers(s: Subject) -> None:
    for account in (s.stranger(), s.holder or s.address, NOBODY):
        for most in (s.vault.maxDeposit, s.vault.maxMint, s.vault.maxWithdraw, s.vault.maxRedeem):
            assert most(account) >= 0


@sentence("maxDeposit: ... the maximum amount of assets deposit would allow ... not revert.", ENTRY)
def max_deposit__is_accepted(s: Subject) -> None:
    most = s.vault.maxDeposit(s.stranger())
    for assets in s.amounts(min(most, UNREASONABLE // 10**6)):
        with boa.env.anchor():
            payer = s.payer(assets)
            assert s.vault.deposit(assets, s.stranger(), sender=payer) > 0
    if most < MAX_UINT:
        payer = s.payer(most)
        assert s.vault.deposit(most, s.stranger(), sender=payer) > 0


@sentence("maxMint: ... the maximum amount of shares mint would allow ... not revert.", ENTRY)
def max_mint__is_accepted(s: Subject) -> None:
    most = s.vault.maxMint(s.stranger())
    if most < MAX_UINT:
        payer = s.payer(s.vault.previewMint(most))
        assert s.vault.mint(most, s.stranger(), sender=payer) > 0
        assert s.vault.balanceOf(s.stranger()) == most


@sentence("maxDeposit, maxMint: MUST NOT rely on balanceOf of asset.")
def max_entry__does_not_ask_what_one_has(s: Subject) -> None:
    poor, rich = s.stranger("poor"), s.stranger("rich")
    s.give(rich, 10 * s.amount)
    assert s.vault.maxDeposit(poor) == s.vault.maxDeposit(rich)
    assert s.vault.maxMint(poor) == s.vault.maxMint(rich)


@sentence("maxDeposit, maxMint: ... if deposits are entirely disabled ... it MUST return 0.")
def max_entry__zero_exactly_when_closed(s: Subject) -> None:
    account, closed = s.stranger(), ENTRY in s.closed
    assert (s.vault.maxDeposit(account) == 0) == closed
    assert (s.vault.maxMint(account) == 0) == closed
    if closed:
        payer = s.payer(s.amount)
        assert reverts(lambda: s.vault.deposit(s.amount, payer, sender=payer))
        assert reverts(lambda: s.vault.mint(s.amount, payer, sender=payer))


@sentence("maxDeposit, maxMint: MUST return 2 ** 256 - 1 if there is no limit.", ENTRY)
def max_entry__a_limit_is_one(s: Subject) -> None:
    """Who names a limit has one: more than it is refused. Who has none says so."""
    account = s.stranger()
    most, most_shares = s.vault.maxDeposit(account), s.vault.maxMint(account)
    assert (most == MAX_UINT) == (most_shares == MAX_UINT)
    if most < MAX_UINT:
        payer = s.payer(4 * most)
        assert reverts(lambda: s.vault.deposit(2 * most, account, sender=payer))


@sentence("maxWithdraw: ... could be transferred from owner through withdraw and not revert.", EXIT)
def max_withdraw__is_accepted(s: Subject) -> None:
    owner = s.shareholder()
    most = s.vault.maxWithdraw(owner)
    assert most > 0
    s.vault.withdraw(most, s.stranger(), owner, sender=owner)
    assert s.asset.balanceOf(s.stranger()) == most


@sentence("maxRedeem: ... could be redeemed from the owner ... and not cause a revert.", EXIT)
def max_redeem__is_accepted(s: Subject) -> None:
    owner = s.shareholder()
    most, held = s.vault.maxRedeem(owner), s.vault.balanceOf(owner)
    assert 0 < most <= held
    assert s.vault.redeem(most, s.stranger(), owner, sender=owner) > 0
    assert s.vault.balanceOf(owner) == held - most


@sentence("maxWithdraw, maxRedeem: MUST factor in both global and user-specific limits ...")
def max_exit__nothing_for_who_has_none(s: Subject) -> None:
    assert s.vault.maxWithdraw(s.stranger()) == 0
    assert s.vault.maxRedeem(s.stranger()) == 0


@sentence("maxWithdraw, maxRedeem: ... if withdrawals are entirely disabled ... MUST return 0.")
def max_exit__zero_exactly_when_closed(s: Subject) -> None:
    if EXIT not in s.closed:
        owner = s.shareholder()
        assert s.vault.maxWithdraw(owner) > 0
        assert s.vault.maxRedeem(owner) > 0
        return
    owner = s.holder
    if owner is None:
        return
    assert (s.vault.maxWithdraw(owner), s.vault.maxRedeem(owner)) == (0, 0)
    assert reverts(lambda: s.vault.withdraw(1, owner, owner, sender=owner))
    assert reverts(lambda: s.vault.redeem(s.vault.balanceOf(owner), owner, owner, sender=owner))


# Previews


@sentence("previewDeposit: ... as close to and no more than the exact amount of shares ...", ENTRY)
def preview_deposit__no_more_than_minted(s: Subject) -> None:
    for assets in s.amounts(s.vault.maxDeposit(s.stranger())):
        with boa.env.anchor():
            payer = s.payer(assets)
            said = s.vault.previewDeposit(assets)
            minted = s.vault.deposit(assets, s.stranger(), sender=payer)
            assert said <= minted == s.vault.balanceOf(s.stranger())
            assert minted - said <= _unit(s)


@sentence("previewMint: ... as close to and no fewer than the exact amount of assets ...", ENTRY)
def preview_mint__no_fewer_than_taken(s: Subject) -> None:
    most = s.vault.maxMint(s.stranger())
    for assets in s.amounts(s.vault.maxDeposit(s.stranger())):
        shares = min(most, s.vault.convertToShares(assets))
        with boa.env.anchor():
            said = s.vault.previewMint(shares)
            payer = s.payer(said)
            taken = s.vault.mint(shares, s.stranger(), sender=payer)
            assert said >= taken == said - s.asset.balanceOf(payer)
            assert s.vault.balanceOf(s.stranger()) == shares
            assert said - taken <= 1


@sentence("previewWithdraw: ... as close to and no fewer than the exact amount of shares ...", EXIT)
def preview_withdraw__no_fewer_than_burned(s: Subject) -> None:
    owner = s.shareholder()
    for assets in s.amounts(s.vault.maxWithdraw(owner)):
        with boa.env.anchor():
            said, held = s.vault.previewWithdraw(assets), s.vault.balanceOf(owner)
            burned = s.vault.withdraw(assets, s.stranger(), owner, sender=owner)
            assert said >= burned == held - s.vault.balanceOf(owner)
            assert said - burned <= _unit(s)
            assert s.asset.balanceOf(s.stranger()) == assets


@sentence("previewRedeem: ... as close to and no more than the exact amount of assets ...", EXIT)
def preview_redeem__no_more_than_paid(s: Subject) -> None:
    owner = s.shareholder()
    most = s.vault.maxRedeem(owner)
    for shares in sorted({most, most // 3 + 1, most // 7 * 3 + 1}):
        with boa.env.anchor():
            said = s.vault.previewRedeem(shares)
            paid = s.vault.redeem(shares, s.stranger(), owner, sender=owner)
            assert said <= paid == s.asset.balanceOf(s.stranger())
            assert paid - said <= 1


@sentence(
    "preview*: MUST NOT account for ... limits ... regardless if the user has enough tokens.", PRICE
)
def preview__does_not_ask_who_calls(s: Subject) -> None:
    callers = [s.stranger(), s.holder or s.stranger("other")]
    for preview in (s.vault.previewDeposit, s.vault.previewMint):
        assert len({preview(s.amount, sender=caller) for caller in callers}) == 1
    for preview in (s.vault.previewWithdraw, s.vault.previewRedeem):
        assert len({preview(s.amount, sender=caller) for caller in callers}) == 1


@sentence("preview*: MUST NOT revert due to vault specific user/global limits.", PRICE)
def preview__answers_over_the_limits(s: Subject) -> None:
    account = s.holder or s.stranger()
    assert s.vault.previewDeposit(min(2 * s.vault.maxDeposit(account) + s.amount, 10**30)) >= 0
    assert s.vault.previewMint(min(2 * s.vault.maxMint(account) + s.amount, 10**33)) >= 0
    assert s.vault.previewWithdraw(2 * s.vault.maxWithdraw(account) + s.amount) >= 0
    assert s.vault.previewRedeem(2 * s.vault.maxRedeem(account) + s.amount) >= 0


@sentence("previewDeposit, previewMint: MUST be inclusive of deposit fees.", ENTRY)
def preview_entry__what_one_pays_all_in(s: Subject) -> None:
    """Nothing but the previewed amount leaves the payer."""
    payer = s.payer(5 * s.amount)
    before = s.asset.balanceOf(payer)
    s.asset.approve(s.address, 5 * s.amount, sender=payer)
    said = s.vault.previewMint(s.vault.convertToShares(s.amount))
    s.vault.mint(s.vault.convertToShares(s.amount), payer, sender=payer)
    assert 0 < before - s.asset.balanceOf(payer) <= said


@sentence("previewWithdraw, previewRedeem: MUST be inclusive of withdrawal fees.", EXIT)
def preview_exit__what_one_gets_all_in(s: Subject) -> None:
    owner = s.shareholder()
    shares = s.vault.maxRedeem(owner) // 2
    said, before = s.vault.previewRedeem(shares), s.asset.balanceOf(owner)
    s.vault.redeem(shares, owner, owner, sender=owner)
    assert s.asset.balanceOf(owner) - before >= said


# deposit, mint


@sentence("deposit: MUST emit the Deposit event.", ENTRY)
def deposit__is_logged(s: Subject) -> None:
    payer, receiver = s.payer(s.amount), s.stranger()
    shares = s.vault.deposit(s.amount, receiver, sender=payer)
    assert s.events(DEPOSIT) == [([payer.lower(), receiver.lower()], [s.amount, shares])]


@sentence("mint: MUST emit the Deposit event.", ENTRY)
def mint__is_logged(s: Subject) -> None:
    shares = s.vault.previewDeposit(s.amount)
    payer, receiver = s.payer(2 * s.vault.previewMint(shares)), s.stranger()
    assets = s.vault.mint(shares, receiver, sender=payer)
    assert s.events(DEPOSIT) == [([payer.lower(), receiver.lower()], [assets, shares])]


@sentence("deposit, mint: MUST support ERC-20 approve / transferFrom on asset as a flow.", ENTRY)
def entry__takes_what_was_approved(s: Subject) -> None:
    payer, before = s.payer(s.amount), s.asset.balanceOf(s.address)
    s.vault.deposit(s.amount, s.stranger(), sender=payer)
    assert s.asset.balanceOf(payer) == 0
    assert s.asset.balanceOf(s.address) == before + s.amount
    assert s.asset.allowance(payer, s.address) == 0


@sentence(
    "deposit: MUST revert if all of assets cannot be deposited ... not approving enough ...", ENTRY
)
def deposit__all_or_nothing(s: Subject) -> None:
    payer = s.payer(s.amount)
    assert reverts(lambda: s.vault.deposit(s.amount + 1, payer, sender=payer))
    s.asset.approve(s.address, s.amount - 1, sender=payer)
    assert reverts(lambda: s.vault.deposit(s.amount, payer, sender=payer))
    assert s.asset.balanceOf(payer) == s.amount
    assert s.vault.balanceOf(payer) == 0


@sentence("mint: MUST revert if all of shares cannot be minted ...", ENTRY)
def mint__all_or_nothing(s: Subject) -> None:
    shares = s.vault.previewDeposit(s.amount)
    payer = s.payer(s.vault.previewMint(shares) // 2)
    s.asset.approve(s.address, MAX_UINT, sender=payer)
    assert reverts(lambda: s.vault.mint(shares, payer, sender=payer))
    assert s.vault.balanceOf(payer) == 0


@sentence("deposit, mint: nobody pays but who calls (ERC-20 approve / transferFrom flow).", ENTRY)
def entry__no_foreign_payer(s: Subject) -> None:
    victim, thief = s.payer(s.amount, "victim"), s.stranger("thief")
    assert reverts(lambda: s.vault.deposit(s.amount, victim, sender=thief))
    assert reverts(lambda: s.vault.deposit(s.amount, thief, sender=thief))
    assert s.asset.balanceOf(victim) == s.amount


# withdraw, redeem


@sentence("withdraw: MUST emit the Withdraw event.", EXIT)
def withdraw__is_logged(s: Subject) -> None:
    owner, receiver = s.shareholder(), s.stranger()
    assets = s.vault.maxWithdraw(owner) // 2
    shares = s.vault.withdraw(assets, receiver, owner, sender=owner)
    parties = [owner.lower(), receiver.lower(), owner.lower()]
    assert s.events(WITHDRAW) == [(parties, [assets, shares])]


@sentence("redeem: MUST emit the Withdraw event.", EXIT)
def redeem__is_logged(s: Subject) -> None:
    owner, receiver = s.shareholder(), s.stranger()
    shares = s.vault.maxRedeem(owner) // 2
    assets = s.vault.redeem(shares, receiver, owner, sender=owner)
    parties = [owner.lower(), receiver.lower(), owner.lower()]
    assert s.events(WITHDRAW) == [(parties, [assets, shares])]


@sentence(
    "withdraw, redeem: ... shares are burned from owner directly ... msg.sender is owner.", EXIT
)
def exit__by_the_owner(s: Subject) -> None:
    owner, supply = s.shareholder(), s.vault.totalSupply()
    held, shares = s.vault.balanceOf(owner), s.vault.maxRedeem(owner) // 3
    supply = s.vault.totalSupply()
    s.vault.redeem(shares, s.stranger(), owner, sender=owner)
    assert s.vault.balanceOf(owner) == held - shares
    assert s.vault.totalSupply() == supply - shares


@sentence(
    "withdraw, redeem: ... where msg.sender has ERC-20 approval over the shares of owner.", EXIT
)
def exit__by_who_is_approved(s: Subject) -> None:
    owner, spender, receiver = s.shareholder(), s.stranger("spender"), s.stranger()
    shares = s.vault.maxRedeem(owner) // 3
    s.vault.approve(spender, shares, sender=owner)
    with boa.env.anchor():
        paid = s.vault.redeem(shares, receiver, owner, sender=spender)
        assert s.asset.balanceOf(receiver) == paid
        assert s.vault.allowance(owner, spender) == 0
    assets = s.vault.previewRedeem(shares) // 2
    burned = s.vault.withdraw(assets, receiver, owner, sender=spender)
    assert s.asset.balanceOf(receiver) == assets
    assert s.vault.allowance(owner, spender) == shares - burned


@sentence(
    "withdraw, redeem: SHOULD check msg.sender can spend owner funds ... for allowance.", EXIT
)
def exit__not_by_others(s: Subject) -> None:
    owner, thief = s.shareholder(), s.stranger("thief")
    shares, held = s.vault.maxRedeem(owner) // 3, s.vault.balanceOf(owner)
    assets = s.vault.previewRedeem(shares)
    s.vault.approve(thief, shares // 2, sender=owner)
    assert reverts(lambda: s.vault.redeem(shares, thief, owner, sender=thief))
    assert reverts(lambda: s.vault.withdraw(assets, thief, owner, sender=thief))
    assert s.vault.balanceOf(owner) == held


@sentence("withdraw: MUST revert if all of assets cannot be withdrawn ...", EXIT)
def withdraw__all_or_nothing(s: Subject) -> None:
    owner = s.shareholder()
    too_much = s.vault.convertToAssets(s.vault.balanceOf(owner)) + 2
    assert reverts(lambda: s.vault.withdraw(too_much, owner, owner, sender=owner))


@sentence("redeem: MUST revert if all of shares cannot be redeemed ...", EXIT)
def redeem__all_or_nothing(s: Subject) -> None:
    owner = s.shareholder()
    too_many = s.vault.balanceOf(owner) + 1
    assert reverts(lambda: s.vault.redeem(too_many, owner, owner, sender=owner))


# Rounding favours the vault


@sentence(
    "... how many shares to issue ... it should round down; ... to receive shares ... up.", ENTRY
)
def rounding__entry_for_the_vault(s: Subject) -> None:
    """Shares are worth no more than was paid for them, in both directions."""
    for assets in s.amounts(s.vault.maxDeposit(s.stranger())):
        assert s.vault.convertToAssets(s.vault.previewDeposit(assets)) <= assets
        shares = s.vault.previewDeposit(assets)
        assert s.vault.previewMint(shares) >= s.vault.convertToAssets(shares)
    for shares in (1, s.vault.convertToShares(1), s.vault.convertToShares(7) + 1):
        assert s.vault.convertToShares(s.vault.previewMint(shares)) >= shares


@sentence(
    "... returning a certain amount of shares, it should round down; ... to supply ... up.", EXIT
)
def rounding__exit_for_the_vault(s: Subject) -> None:
    owner = s.shareholder()
    for assets in (1, 3, *s.amounts(s.vault.maxWithdraw(owner))):
        assert s.vault.convertToAssets(s.vault.previewWithdraw(assets)) >= assets
    for shares in (1, 999, 1_001, s.vault.maxRedeem(owner)):
        assert s.vault.previewRedeem(shares) <= s.vault.convertToAssets(shares)


@sentence(
    "... it is considered most secure to favor the Vault itself ... over its users.", ENTRY, EXIT
)
def rounding__no_round_trip_gains(s: Subject) -> None:
    """In by either way and out by either way."""
    ways = [(enter, leave) for enter in ("deposit", "mint") for leave in ("withdraw", "redeem")]
    for enter, leave in ways:
        with boa.env.anchor():
            account = s.payer(3 * s.amount)
            s.asset.approve(s.address, MAX_UINT, sender=account)
            had = s.asset.balanceOf(account)
            if enter == "deposit":
                s.vault.deposit(s.amount // 3 * 2 + 1, account, sender=account)
            else:
                s.vault.mint(
                    s.vault.convertToShares(s.amount // 3 * 2 + 1), account, sender=account
                )
            if leave == "withdraw":
                s.vault.withdraw(s.vault.maxWithdraw(account), account, account, sender=account)
            else:
                s.vault.redeem(s.vault.maxRedeem(account), account, account, sender=account)
            left = s.vault.convertToAssets(s.vault.balanceOf(account))
            assert s.asset.balanceOf(account) + left <= had


@sentence("... nor others': who comes and goes takes nothing from who stays.", ENTRY, EXIT)
def rounding__who_stays_loses_nothing(s: Subject) -> None:
    owner = s.shareholder()
    worth = s.vault.convertToAssets(s.vault.balanceOf(owner))
    account = s.payer(s.amount)
    s.vault.deposit(s.amount, account, sender=account)
    assert s.vault.convertToAssets(s.vault.balanceOf(owner)) >= worth
    s.vault.redeem(s.vault.maxRedeem(account), account, account, sender=account)
    assert s.vault.convertToAssets(s.vault.balanceOf(owner)) >= worth


def _unit(s: Subject) -> int:
    """Return the shares that one unit of the asset may stand for, rounded up."""
    return int(s.vault.convertToShares(1)) + 1
