# SPDX-License-Identifier: MIT
"""Construction, base charge, pause, ownership, the book's calls, permit."""

from __future__ import annotations

import boa
import pytest
from eth_account import Account

from tests.market_world import NOBODY, deployer
from tests.vault_world import HOUR, event, vault_world

PAUSE = 72 * HOUR


@pytest.fixture
def world():
    with boa.env.anchor():
        yield vault_world()


def test_construct__names_and_decimals__follow_the_asset(world):
    vault = world.vault
    assert (vault.name(), vault.symbol(), vault.decimals()) == ("Hedged ETH", "hETH", 21)
    assert (vault.asset(), vault.book()) == (world.asset.address, world.book.address)
    assert (vault.owner(), vault.OFFSET()) == (boa.env.eoa, 3)
    assert vault.MIN_SUPPLY() == 10**18


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"book": NOBODY}, "vault: book is zero"),
        ({"rules": NOBODY}, "vault: rules is zero"),
        ({"queue": NOBODY}, "vault: queue is zero"),
        ({"exit": NOBODY}, "vault: exit is zero"),
        ({"base_charge_bps": 74}, "vault: base charge too low"),  # thresholds 50 + 25 bp, h = 1
        ({"base_charge_bps": 501}, "vault: base charge too high"),
    ],
)
def test_construct__bad_arguments__refused(world, changes, reason):
    arguments = {
        "book": world.book.address,
        "rules": world.rules.address,
        "queue": world.queue.address,
        "exit": world.exit.address,
        "name": "x",
        "symbol": "x",
        "base_charge_bps": 90,
    } | changes
    with boa.reverts(reason):
        deployer("HedgeVault.vy").deploy(*arguments.values())


def test_construct__queue_or_exit_of_another_book__refused(world):
    other = vault_world()
    parts = world.book.address, world.rules.address
    with boa.reverts("vault: queue of another book"):
        deployer("HedgeVault.vy").deploy(
            *parts, other.queue.address, world.exit.address, "x", "x", 90
        )
    with boa.reverts("vault: exit of another book"):
        deployer("HedgeVault.vy").deploy(
            *parts, world.queue.address, other.exit.address, "x", "x", 90
        )


def test_set_base_charge__at_the_least__accepted_and_logged(world):
    world.vault.set_base_charge(75)
    logged = event(world.vault, "BaseChargeSet")
    assert (logged.base_charge_before_bps, logged.base_charge_after_bps) == (90, 75)
    assert world.vault.base_charge_bps() == 75
    with boa.reverts("vault: base charge too low"):
        world.vault.set_base_charge(74)
    with boa.reverts("vault: base charge too high"):
        world.vault.set_base_charge(501)
    with boa.reverts("ownable: caller is not the owner"):
        world.vault.set_base_charge(80, sender=world.guardian)


def test_pause_entry__guardian__stops_entry_only(world):
    depositor = world.depositor("depositor")
    world.deposit(depositor, 1)
    world.vault.pause_entry(PAUSE, sender=world.guardian)
    until = boa.env.timestamp + PAUSE
    assert event(world.vault, "EntryPaused").paused_until == until
    assert world.vault.entry_paused_until() == until
    assert world.vault.maxDeposit(depositor) == world.vault.maxMint(depositor) == 0
    with boa.reverts("vault: entry is paused"):
        world.deposit(depositor, 1)
    with boa.reverts("vault: entry is paused"):
        world.vault.mint(10**21, depositor, sender=depositor)
    world.pass_time(PAUSE - 1)
    with boa.reverts("vault: entry is paused"):
        world.deposit(depositor, 1)
    world.pass_time(1)
    world.deposit(depositor, 1)


def test_pause_entry__too_long_too_soon_or_by_others__refused(world):
    with boa.reverts("vault: caller is not guardian"):
        world.vault.pause_entry(HOUR)
    with boa.reverts("pause: zero duration"):
        world.vault.pause_entry(0, sender=world.guardian)
    with boa.reverts("pause: longer than 72 h"):
        world.vault.pause_entry(PAUSE + 1, sender=world.guardian)
    world.vault.pause_entry(HOUR, sender=world.guardian)
    with boa.reverts("pause: too soon after the last"):
        world.vault.pause_entry(HOUR, sender=world.guardian)


@pytest.mark.parametrize("lift", [False, True])
def test_pause_entry__chained__leaves_72_hours_between(world, lift):
    """However it ends: the next pause begins 72 h after the announced end at the earliest."""
    world.vault.pause_entry(PAUSE, sender=world.guardian)
    if lift:
        world.vault.lift_entry_pause(sender=world.guardian)
    world.pass_time(2 * PAUSE - 1)
    with boa.reverts("pause: too soon after the last"):
        world.vault.pause_entry(PAUSE, sender=world.guardian)
    world.pass_time(1)
    world.vault.pause_entry(PAUSE, sender=world.guardian)


@pytest.mark.parametrize("who", ["owner", "guardian"])
def test_lift_entry_pause__owner_or_guardian__opens(world, who):
    depositor = world.depositor("depositor")
    world.vault.pause_entry(PAUSE, sender=world.guardian)
    with boa.reverts("ownable: caller is not the owner"):
        world.vault.lift_entry_pause(sender=depositor)
    world.vault.lift_entry_pause(sender=boa.env.eoa if who == "owner" else world.guardian)
    assert event(world.vault, "EntryPaused").paused_until == 0
    world.deposit(depositor, 1)


def test_transfer_ownership__two_steps(world):
    heir = boa.env.generate_address("heir")
    for contract in (world.vault, world.book):
        contract.transfer_ownership(heir)
        assert contract.owner() == boa.env.eoa
        assert contract.pending_owner() == heir
        with boa.reverts("ownable_2step: caller is not the new owner"):
            contract.accept_ownership(sender=world.keeper)
        contract.accept_ownership(sender=heir)
        assert contract.owner() == heir
        with boa.reverts("ownable: caller is not the owner"):
            contract.transfer_ownership(boa.env.eoa)


@pytest.mark.parametrize("call", ["release", "credit"])
def test_idle_assets__moved_by_another_than_the_book__refused(world, call):
    world.deposit(world.depositor("depositor"), 1)
    for caller in (boa.env.eoa, world.keeper, world.guardian):
        with boa.reverts("vault: caller is not the book"):
            getattr(world.vault, call)(1, sender=caller)


def test_release_and_credit__ledger__must_hold(world):
    world.deposit(world.depositor("depositor"), 1)
    book = world.book.address
    with boa.reverts("vault: not enough idle assets"):
        world.vault.release(world.assets(1) + 1, sender=book)
    world.vault.release(world.assets(1), sender=book)
    assert world.asset.balanceOf(book) == world.assets(1)
    moved = event(world.vault, "IdleMoved")
    assert (moved.assets, moved.idle_assets_after) == (-world.assets(1), 0)
    with boa.reverts("vault: assets not received"):
        world.vault.credit(1, sender=book)
    world.asset.transfer(world.vault.address, 5, sender=book)
    world.vault.credit(5, sender=book)
    moved = event(world.vault, "IdleMoved")
    assert (moved.assets, moved.idle_assets_after) == (5, 5)


def test_abi__supply__cannot_be_changed_but_by_flows(world):
    """snekmate's mint, burn, minter and one-step ownership calls are not exported."""
    names = {entry["name"] for entry in world.vault.abi if entry["type"] == "function"}
    assert not names & {
        "burn",
        "burn_from",
        "set_minter",
        "is_minter",
        "renounce_ownership",
    }
    mints = [e["inputs"][0]["type"] for e in world.vault.abi if e.get("name") == "mint"]
    assert set(mints) == {"uint256"}


def permit(world, signer, spender, amount, deadline, **changes):
    message = {
        "owner": signer.address,
        "spender": spender,
        "value": amount,
        "nonce": world.vault.nonces(signer.address),
        "deadline": deadline,
    } | changes
    fields, name, version, chain_id, contract, _, _ = world.vault.eip712Domain()
    assert fields == b"\x0f"
    signed = Account.sign_typed_data(
        signer.key,
        {"name": name, "version": version, "chainId": chain_id, "verifyingContract": contract},
        {
            "Permit": [
                {"name": "owner", "type": "address"},
                {"name": "spender", "type": "address"},
                {"name": "value", "type": "uint256"},
                {"name": "nonce", "type": "uint256"},
                {"name": "deadline", "type": "uint256"},
            ]
        },
        message,
    )
    arguments = (signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big"))
    world.vault.permit(signer.address, spender, amount, deadline, *arguments)


def test_permit__signed__spender_redeems_without_an_approval(world):
    signer = Account.from_key("0x" + "42" * 32)
    payer, spender = world.depositor("payer"), str(boa.env.generate_address("spender"))
    shares = world.vault.deposit(world.assets(5), signer.address, sender=payer)
    permit(world, signer, spender, shares, boa.env.timestamp + 60)
    assert world.vault.allowance(signer.address, spender) == shares
    assert world.vault.nonces(signer.address) == 1
    world.vault.redeem(shares, spender, signer.address, sender=spender)
    assert world.asset.balanceOf(spender) >= world.assets(5) - 1


def test_permit__late_replayed_or_forged__refused(world):
    signer = Account.from_key("0x" + "42" * 32)
    spender = str(boa.env.generate_address("spender"))
    with boa.reverts("erc20: expired deadline"):
        permit(world, signer, spender, 1, boa.env.timestamp - 1)
    permit(world, signer, spender, 1, boa.env.timestamp + 60)
    with boa.reverts("erc20: invalid signature"):
        permit(world, signer, spender, 1, boa.env.timestamp + 60, nonce=0)
    with boa.reverts("erc20: invalid signature"):
        permit(world, signer, spender, 1, boa.env.timestamp + 60, value=2)


@pytest.mark.parametrize("name", ["vault", "book", "guard", "lens", "queue", "rules"])
def test_code_on_chain__under_22500_bytes(world, name):
    assert len(boa.env.get_code(getattr(world, name).address)) <= 22_500


ERC4626 = {
    "asset()": ["address"],
    "totalAssets()": ["uint256"],
    "convertToShares(uint256)": ["uint256"],
    "convertToAssets(uint256)": ["uint256"],
    **{
        f"{verb}{flow}({'uint256' if verb == 'preview' else 'address'})": ["uint256"]
        for verb in ("preview", "max")
        for flow in ("Deposit", "Mint", "Withdraw", "Redeem")
    },
    "deposit(uint256,address)": ["uint256"],
    "mint(uint256,address)": ["uint256"],
    "withdraw(uint256,address,address)": ["uint256"],
    "redeem(uint256,address,address)": ["uint256"],
}


def test_abi__has_all_of_erc4626_and_erc5143(world):
    """What `implements` would check if it knew defaulted arguments."""
    found = {
        f"{e['name']}({','.join(i['type'] for i in e['inputs'])})": [
            o["type"] for o in e["outputs"]
        ]
        for e in world.vault.abi
        if e["type"] == "function"
    }
    bounded = {key.replace(")", ",uint256)"): value for key, value in list(ERC4626.items())[-4:]}
    assert (ERC4626 | bounded).items() <= found.items()
    events = {e["name"]: e["inputs"] for e in world.vault.abi if e["type"] == "event"}
    for name, fields in (
        ("Deposit", ["sender*", "owner*", "assets", "shares"]),
        ("Withdraw", ["sender*", "receiver*", "owner*", "assets", "shares"]),
    ):
        assert [i["name"] + "*" * i["indexed"] for i in events[name]] == fields
