# SPDX-License-Identifier: MIT
"""
The contracts and the reference model side by side: every call goes to both.

`Twins.call` makes a call on chain and in the model; result, refusal and the whole state must be
the same to the unit. `Twins.compare` also holds both sides against conservation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

import boa
from eth_abi import decode
from eth_utils import keccak

from keeper.simulation.reference import (
    Feed,
    InsuranceFund,
    LiquidityPool,
    PriceOracle,
    Reverted,
    Round,
    Source,
    SpotMarket,
    Terms,
    Venue,
)
from keeper.snapshot import Margin, Market
from keeper.units import UINT256_MAX, price_divisor
from tests import market_world
from tests.venue_world import FEED_UNIT, POOL_DELAY, POOL_WINDOW, PRICE_STAND, World, world

E = TypeVar("E", bound=Exception)
ERROR_STRING = bytes.fromhex("08c379a0")
SPOT_FEE_WAD = 3 * 10**15
TOKENS = ("asset", "quote")
MARGIN_FIELDS = tuple(Margin.__dataclass_fields__)
MARKET_FIELDS = tuple(Market.__dataclass_fields__)

# One call that asks every view of what is stored.
READER = """
# pragma version 0.4.3
# pragma evm-version shanghai
from interfaces import IInsuranceFund
from interfaces import ILiquidationRules
from interfaces import ILiquidityPool
from interfaces import IPerpVenue
from interfaces import ISpotMarket

interface Pool:
    def total_shares() -> uint256: view
    def shares_of(owner: address) -> uint256: view
    def holdings() -> (uint256, uint256): view

interface Fund:
    def held() -> uint256: view


@external
@view
def stored(venue: IPerpVenue, spot: ISpotMarket, owner: address, owners: DynArray[address, 8]) -> (
    DynArray[ILiquidationRules.Account, 8],
    IPerpVenue.MarketState,
    IPerpVenue.Reserves,
    uint256[7],
):
    accounts: DynArray[ILiquidationRules.Account, 8] = []
    for each: address in owners:
        accounts.append(staticcall venue.account(each))
    pool: Pool = Pool(staticcall venue.POOL())
    quote: uint256 = 0
    assets: uint256 = 0
    (quote, assets) = staticcall pool.holdings()
    spot_assets: uint256 = 0
    spot_quote: uint256 = 0
    (spot_assets, spot_quote) = staticcall spot.reserves()
    return (
        accounts,
        staticcall venue.state(),
        staticcall venue.reserves(),
        [
            quote,
            assets,
            staticcall pool.total_shares(),
            staticcall pool.shares_of(owner),
            staticcall Fund(staticcall venue.FUND()).held(),
            spot_assets,
            spot_quote,
        ],
    )

"""


@lru_cache
def reader_deployer() -> Any:
    """Return the compiled reader, once in a run."""
    return boa.loads_partial(READER)


def reason_of(error: boa.BoaError) -> str:
    """Return the reason string that a revert carries, or nothing."""
    frame = error.stack_trace.last_frame
    raised = getattr(frame, "vm_error", frame)
    output = raised.args[0] if getattr(raised, "args", ()) else b""
    if isinstance(output, bytes) and output.startswith(ERROR_STRING):
        return str(decode(("string",), output[4:])[0])
    return ""


def signed(word: int, bits: int = 256) -> int:
    """Return the two's complement number in the lowest bits."""
    word %= 1 << bits
    return word - (1 << bits) if word >> (bits - 1) else word


def halves(word: int) -> tuple[int, int]:
    """Return the two signed numbers of a word (`modules/words.vy`)."""
    return signed(word >> 128, 128), signed(word, 128)


class Storage:
    """
    A contract's storage words by the names that the compiler gives; reading costs no call.

    A comparison after every call through views takes as long as the call itself.
    """

    def __init__(self, contract: Any) -> None:
        self.address = contract.address
        layout = contract.compiler_data.storage_layout["storage_layout"]
        self.slots = {name.split(".")[-1]: at["slot"] for name, at in flat(layout)}

    def word(self, name: str, key: str | bool | None = None, offset: int = 0) -> int:
        """Return the word of a variable, or of an element of a map."""
        slot = self.slots[name]
        if key is not None:
            number = int(key, 16) if isinstance(key, str) else int(key)
            slot = int.from_bytes(keccak(slot.to_bytes(32) + number.to_bytes(32)))
        return int(boa.env.get_storage(self.address, slot + offset))


def flat(layout: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return all variables of a storage layout, those of modules included."""
    found = []
    for name, at in layout.items():
        found += [(name, at)] if "slot" in at else flat(at)
    return found


def outcome(call: Callable[[], Any], refusal: type[E]) -> tuple[Any, E | None]:
    """Return what the call returned, or how it was refused."""
    try:
        return call(), None
    except refusal as error:
        return None, error


class Twins:
    """
    A venue, its pool and fund, its oracle and a spot market, on chain and as the model.

    Parameters
    ----------
    asset_decimals, quote_decimals : int
        6 to 18.
    price : float or str
        Whole quote per whole asset at the start.
    traders : sequence of str
        Names of accounts with plenty of both tokens.
    **changes : int
        Terms that differ from `tests.venue_world.default_terms`.
    """

    def __init__(
        self,
        asset_decimals: int = 18,
        quote_decimals: int = 6,
        *,
        price: float | str = 2_000,
        traders: tuple[str, ...] = ("alice", "bob", "carol", "dave"),
        **changes: int,
    ) -> None:
        self.world: World = world(
            asset_decimals, quote_decimals, price=price, liquidity=0, **changes
        )
        chain = self.world
        self.divisor = price_divisor(asset_decimals, quote_decimals)
        self.chain_spot = market_world.deployer("SpotMarket.vy").deploy(
            chain.asset.address, chain.quote.address, SPOT_FEE_WAD
        )
        self.traders = [chain.actor(name) for name in traders]
        for account in (*self.traders, chain.owner):
            for spender in (self.chain_spot, chain.fund, chain.pool):
                market_world.fund(account, spender, chain.asset, chain.quote, amount=2**110)
        self.reader = reader_deployer().deploy()
        self.words = {
            name: Storage(contract)
            for name, contract in (
                ("venue", chain.venue.contract),
                ("pool", chain.pool),
                ("fund", chain.fund),
                ("spot", self.chain_spot),
                ("asset", chain.asset),
                ("quote", chain.quote),
            )
        }
        self.price, self.deployed_at = price, self.now
        self.begin()

    def begin(self) -> None:
        """Build the model anew, for a chain that is as deployed."""
        chain, owner, at = self.world, self.world.owner, self.deployed_at
        self.asset_feed = Feed(8, int(Decimal(str(self.price)) * FEED_UNIT), at=at)
        self.quote_feed = Feed(8, FEED_UNIT, at=at)
        self.oracle = PriceOracle(
            Source(self.asset_feed, market_world.ASSET_MAX_AGE, 50),
            Source(self.quote_feed, market_world.QUOTE_MAX_AGE, 25),
            market_world.MAX_DEVIATION_BPS,
        )
        self.pool = LiquidityPool(
            self.oracle,
            self.divisor,
            str(chain.pool.address),
            owner,
            min_delay=POOL_DELAY,
            window=POOL_WINDOW,
            min_holding=10**chain.quote_decimals,
        )
        self.fund = InsuranceFund(str(chain.fund.address), owner)
        self.venue = Venue(
            Terms(**chain.terms),
            self.oracle,
            self.pool,
            self.fund,
            at=at,
            address=str(chain.venue.address),
            gas_divisor=10 ** (36 - chain.quote_decimals),
        )
        self.pool.set_venue(owner, self.venue)
        self.fund.register(owner, self.venue, market_world.MAX_UINT)
        self.spot = SpotMarket(SPOT_FEE_WAD, owner)
        self.say: Callable[[str], object] = lambda _: None  # hears every call
        self.calls: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    @property
    def now(self) -> int:
        """Return the chain's time."""
        return int(boa.env.timestamp)

    @property
    def price_wad(self) -> int:
        """Return the price that the model's feeds give, good or not."""
        return self.oracle.try_read(at=self.now)[1].price_wad

    # What moves both

    def publish(self, asset: int, quote: int = FEED_UNIT) -> None:
        """Publish prices in USD with 8 decimals."""
        self.world.asset_feed.set_answer(asset)
        self.world.quote_feed.set_answer(quote)
        self.asset_feed.set_answer(asset, at=self.now)
        self.quote_feed.set_answer(quote, at=self.now)

    def publish_round(self, asset_round: Round) -> None:
        """Publish exactly this round of the asset's feed."""
        self.world.asset_feed.set_round(*asset_round)
        self.asset_feed.set_round(asset_round)

    def wait(self, seconds: int, *, fresh: bool = True) -> None:
        """Let time pass; `fresh` feeds answer the same again."""
        boa.env.time_travel(seconds=seconds)
        if fresh:
            asset, quote = self.asset_feed.last_round.answer, self.quote_feed.last_round.answer
            self.publish(asset, quote)

    # Calls

    def call(self, name: str, on_chain: Callable[[], Any], in_model: Callable[[], Any]) -> bool:
        """Make the call on both sides, compare, and return whether it was accepted."""
        self.calls[name] += 1
        self.result, self.error = outcome(on_chain, boa.BoaError)
        self.logs = self.world.venue.get_logs()
        expected, refused = outcome(in_model, Reverted)
        reason = None if self.error is None else reason_of(self.error)
        refusal = None if refused is None else refused.reason
        self.say(f"{name}: {expected if refusal is None else refusal}")
        assert reason == refusal, f"{name}: the chain says {reason!r}, the model {refusal!r}"
        assert plain(self.result) == expected, (name, self.result, expected)
        if refusal is not None:
            self.refused[f"{name}: {refusal}"] += 1
        self.compare()
        return refusal is None

    def deposit(self, who: str, assets: int, quote: int) -> bool:
        return self.call(
            "deposit",
            lambda: self.world.venue.deposit(assets, quote, sender=who),
            lambda: self.venue.deposit(who, assets, quote, at=self.now),
        )

    def withdraw(self, who: str, assets: int, quote: int) -> bool:
        return self.call(
            "withdraw",
            lambda: self.world.venue.withdraw(assets, quote, who, sender=who),
            lambda: self.venue.withdraw(who, assets, quote, receiver=who, at=self.now),
        )

    def trade(self, who: str, size: int, limit: int | None = None, instrument: int = 0) -> bool:
        if limit is None:
            limit = market_world.MAX_UINT if size > 0 else 0
        return self.call(
            "trade",
            lambda: self.world.venue.trade(instrument, size, limit, sender=who),
            lambda: self.venue.trade(who, instrument, size, limit, at=self.now),
        )

    def liquidate(self, who: str, by: str) -> bool:
        return self.call(
            "liquidate",
            lambda: self.world.venue.liquidate(who, sender=by),
            lambda: self.venue.liquidate(by, who, at=self.now),
        )

    def settle_debt(self, who: str, by: str) -> bool:
        return self.call(
            "settle_debt",
            lambda: self.world.venue.settle_debt(who, sender=by),
            lambda: self.venue.settle_debt(by, who, at=self.now),
        )

    def realise(self, who: str) -> bool:
        return self.call(
            "realise",
            lambda: self.world.venue.realise(sender=who),
            lambda: self.venue.realise(who, at=self.now),
        )

    def unwind(self) -> bool:
        return self.call("unwind", self.world.venue.unwind, lambda: self.venue.unwind(at=self.now))

    def take_over(self, who: str, size: int, limit_price_wad: int | None = None) -> bool:
        limit = limit_price_wad
        if limit is None:
            limit = UINT256_MAX if size > 0 else 0
        return self.call(
            "take_over",
            lambda: self.world.venue.take_over(size, limit, sender=who),
            lambda: self.venue.take_over(who, size, limit, at=self.now),
        )

    def deleverage(self, cause: int, owners: Sequence[str]) -> bool:
        return self.call(
            "deleverage",
            lambda: self.world.venue.deleverage(cause, list(owners)),
            lambda: self.venue.deleverage(cause, owners, at=self.now),
        )

    def abandon(self) -> bool:
        return self.call(
            "abandon", self.world.venue.abandon, lambda: self.venue.abandon(at=self.now)
        )

    def wind_up(self) -> bool:
        return self.call(
            "wind_up", self.world.venue.wind_up, lambda: self.venue.wind_up(at=self.now)
        )

    def close(self, accounts: Sequence[str]) -> bool:
        return self.call(
            "close",
            lambda: self.world.venue.close(list(accounts)),
            lambda: self.venue.close(accounts, at=self.now),
        )

    def fix_claims(self) -> bool:
        return self.call(
            "fix_claims", self.world.venue.fix_claims, lambda: self.venue.fix_claims(at=self.now)
        )

    def release(self, who: str) -> bool:
        return self.call(
            "release",
            lambda: self.world.venue.release(who),
            lambda: self.venue.release(who, at=self.now),
        )

    def leave(self, who: str) -> bool:
        return self.call(
            "leave",
            lambda: self.world.pool.leave(who, sender=who),
            lambda: self.pool.leave(who, who, at=self.now),
        )

    def accrue(self) -> bool:
        return self.call("accrue", self.world.venue.accrue, lambda: self.venue.accrue(at=self.now))

    def settle(self) -> bool:
        return self.call("settle", self.world.venue.settle, lambda: self.venue.settle(at=self.now))

    def pay_fund(self, who: str) -> bool:
        return self.call(
            "pay_fund",
            lambda: self.world.venue.pay_fund(sender=who),
            lambda: self.venue.pay_fund(who),
        )

    def collect(self) -> bool:
        return self.call(
            "collect",
            lambda: self.world.fund.collect(self.venue.address),
            lambda: self.fund.collect(self.venue),
        )

    def donate(self, who: str, quote: int) -> bool:
        return self.call(
            "donate",
            lambda: self.world.fund.donate(quote, sender=who),
            lambda: self.fund.donate(quote),
        )

    def stake(self, who: str, quote: int) -> bool:
        return self.call(
            "stake",
            lambda: self.world.fund.stake(quote, sender=who),
            lambda: self.fund.stake(who, quote, at=self.now),
        )

    def enter(self, who: str, by: str | None = None) -> bool:
        return self.call(
            "enter",
            lambda: self.world.fund.enter(who, sender=by or who),
            lambda: self.fund.enter(who, at=self.now),
        )

    def request_unstake(self, who: str, shares: int) -> bool:
        return self.call(
            "request_unstake",
            lambda: self.world.fund.request_unstake(shares, sender=who),
            lambda: self.fund.request_unstake(who, shares, at=self.now),
        )

    def unstake(self, who: str, min_quote: int = 0) -> bool:
        return self.call(
            "unstake",
            lambda: self.world.fund.unstake(min_quote, sender=who),
            lambda: self.fund.unstake(who, min_quote, at=self.now),
        )

    def cancel_request(self, who: str) -> bool:
        return self.call(
            "cancel_request",
            lambda: self.world.fund.cancel_request(sender=who),
            lambda: self.fund.cancel_request(who),
        )

    def register(self, who: str, allotment: int) -> bool:
        return self.call(
            "register",
            lambda: self.world.fund.register(self.venue.address, allotment, sender=who),
            lambda: self.fund.register(who, self.venue, allotment),
        )

    def request_provide(self, who: str, quote: int, min_shares: int = 0) -> bool:
        return self.call(
            "request_provide",
            lambda: self.world.pool.request_provide(quote, min_shares, sender=who),
            lambda: self.pool.request_provide(who, quote, min_shares, at=self.now),
        )

    def execute_provide(self, who: str, by: str | None = None) -> bool:
        return self.call(
            "execute_provide",
            lambda: self.world.pool.execute_provide(who, sender=by or who),
            lambda: self.pool.execute_provide(who, at=self.now),
        )

    def cancel_provide(self, who: str) -> bool:
        return self.call(
            "cancel_provide",
            lambda: self.world.pool.cancel_provide(sender=who),
            lambda: self.pool.cancel_provide(who),
        )

    def request_remove(
        self, who: str, shares: int, min_quote: int = 0, receiver: str | None = None
    ) -> bool:
        to = receiver or who
        return self.call(
            "request_remove",
            lambda: self.world.pool.request_remove(shares, min_quote, to, sender=who),
            lambda: self.pool.request_remove(who, shares, min_quote, to, at=self.now),
        )

    def execute_remove(self, who: str, by: str | None = None) -> bool:
        return self.call(
            "execute_remove",
            lambda: self.world.pool.execute_remove(who, sender=by or who),
            lambda: self.pool.execute_remove(who, at=self.now),
        )

    def cancel_remove(self, who: str) -> bool:
        return self.call(
            "cancel_remove",
            lambda: self.world.pool.cancel_remove(sender=who),
            lambda: self.pool.cancel_remove(who),
        )

    def note_price(self) -> bool:
        return self.call(
            "note_price", self.world.pool.note_price, lambda: self.pool.note_price(at=self.now)
        )

    def become_due(self, seconds: int = POOL_DELAY) -> None:
        """Let requests to the pool become due, at the same answers in a later round."""
        self.wait(seconds)
        self.note_price()
        self.wait(PRICE_STAND, fresh=False)

    def provide(self, who: str, quote: int, min_shares: int = 0) -> bool:
        """Request, wait as long as one must, and execute, unless refused before."""
        if not self.request_provide(who, quote, min_shares):
            return False
        if self.pool.total_shares:
            self.become_due()
        return self.execute_provide(who)

    def remove(self, who: str, shares: int, min_quote: int = 0) -> bool:
        """Request, wait as long as one must, and execute, unless refused before."""
        if not self.request_remove(who, shares, min_quote):
            return False
        self.become_due()
        return self.execute_remove(who)

    def spot_buy(self, who: str, assets: int, max_quote: int = market_world.MAX_UINT) -> bool:
        return self.call(
            "spot buy",
            lambda: self.chain_spot.buy(assets, max_quote, who, sender=who),
            lambda: self.spot.buy(assets, max_quote, who),
        )

    def spot_sell(self, who: str, assets: int, min_quote: int = 0) -> bool:
        return self.call(
            "spot sell",
            lambda: self.chain_spot.sell(assets, min_quote, who, sender=who),
            lambda: self.spot.sell(assets, min_quote, who),
        )

    def spot_seed(self, who: str, assets: int, quote: int) -> bool:
        return self.call(
            "spot seed",
            lambda: self.chain_spot.seed(assets, quote, sender=who),
            lambda: self.spot.seed(who, assets, quote),
        )

    def spot_withdraw(self, who: str, assets: int, quote: int) -> bool:
        return self.call(
            "spot withdraw",
            lambda: self.chain_spot.withdraw(assets, quote, who, sender=who),
            lambda: self.spot.withdraw(who, assets, quote, who),
        )

    # Comparison

    def compare(self) -> None:
        """Compare every word that is stored, and hold both sides against conservation."""
        venue, stored = self.venue, self.words["venue"]
        for owner in (*self.traders, self.pool.address):
            size, entry = halves(stored.word("accounts", owner))
            quote, assets = halves(stored.word("accounts", owner, 1))
            touched = halves(stored.word("accounts", owner, 2))
            assert (assets, quote, size, entry, *touched) == venue.account(owner), owner
            assert stored.word("profits", owner) == venue.profits.get(owner, 0)
            assert stored.word("released", owner) == (owner in venue.released)
        mean_and_time, price_and_stage = halves(stored.word("clock"))
        state = (
            *halves(stored.word("sizes")),
            *halves(stored.word("indices")),
            signed(stored.word("open_cost")),
            price_and_stage & (2**120 - 1),
            mean_and_time & (2**40 - 1),
            mean_and_time >> 40,
            *halves(stored.word("claims")),
        )
        assert state == venue.state()
        assert price_and_stage >> 120 == venue.stage | venue.priceless << 2
        reserves = (stored.word("quote_held"), *halves(stored.word("loans")))
        assert reserves == venue.reserves()
        assert signed(stored.word("loan_times")) == venue.loan_times
        self._compare_rare_days()
        self._compare_ledgers()
        self._compare_tokens()

    def _compare_rare_days(self) -> None:
        venue, stored = self.venue, self.words["venue"]
        for long in (False, True):
            assert halves(stored.word("queued", long)) == venue.queue(long)
        for name in ("liquidated", "realised", "flagged"):
            assert halves(stored.word(name)) == getattr(venue, name), name
        for name in ("gated_until", "unwound_at", "batch_after", "profits_of_all", "claims_fixed"):
            assert stored.word(name) == getattr(venue, name), name
        batch = [signed(stored.word("batch", offset=i)) for i in range(len(venue.batch))]
        owner = venue.batch._fields.index("last_owner")
        expected = list(venue.batch)
        expected[owner] = int(venue.batch.last_owner, 16)
        assert batch == expected
        payouts = [stored.word("payouts", offset=i) for i in range(6)]
        assert payouts == [*venue.payouts[0], *venue.payouts[1]]

    def _compare_ledgers(self) -> None:
        pool, owner, words = self.pool, self.world.owner, self.words["pool"]
        assert (words.word("quote_held"), words.word("assets_held")) == pool.holdings()
        assert words.word("total_shares") == pool.total_shares
        assert words.word("quote_escrowed") == pool.quote_escrowed
        assert tuple(words.word("noted_price", None, i) for i in range(3)) == pool.noted_price
        for each in (owner, *self.traders):
            assert words.word("shares_of", each) == pool.shares_of.get(each, 0)
            entry = tuple(words.word("provision_of", each, i) for i in range(6))
            assert entry == pool.provision(each)
            leave = [words.word("removal_of", each, i) for i in range(7)]
            assert (*leave[:2], *leave[3:]) == (*pool.removal(each)[:2], *pool.removal(each)[3:])
            assert leave[2] == int(pool.removal(each).receiver, 16)
        self._compare_fund()
        spot = self.words["spot"]
        reserves = (spot.word("_assets_reserve"), spot.word("_quote_reserve"))
        assert reserves == self.spot.reserves()

    def _compare_fund(self) -> None:
        words, fund, venue = self.words["fund"], self.fund, self.venue.address
        for name, tranche in (("_staked", fund.staked), ("_pending", fund.pending)):
            stored = tuple(words.word(name, offset=i) for i in range(3))
            assert stored == (tranche.quote, tranche.shares, tranche.generation), name
        limits = fund.allotment[venue], fund.drawn.get(venue, 0)
        assert halves(words.word("_limits", venue)) == limits
        for owner in (*self.traders, fund.address):
            claim = tuple(words.word("_claims", owner, i) for i in range(2))
            assert claim == tuple(fund.claims.get(owner, (0, 0))), owner
            request = tuple(words.word("_requests", owner, i) for i in range(6))
            expected = fund.requests.get(owner)
            assert request == (
                (0,) * 6
                if expected is None
                else (*expected.given, *expected.claim, expected.value, expected.requested_at)
            ), owner
            entry = tuple(words.word("_entries", owner, i) for i in range(4))
            coming = fund.entries.get(owner)
            assert entry == ((0,) * 4 if coming is None else (*coming.claim, *coming[1:])), owner

    def _compare_tokens(self) -> None:
        """Held = sum of accounts + pool + fund, in the model; the same tokens on chain."""
        venue, pool = self.venue, self.pool
        everybody = [venue.account(owner) for owner in venue.owners if owner != pool.address]
        quote = sum(each.quote for each in everybody) + venue.pool_claim + venue.fund_claim
        assets = sum(each.assets for each in everybody) + venue.pool_assets
        assert quote == venue.quote_held
        holdings = {
            venue.address: (assets, quote),
            pool.address: (pool.assets_held, pool.quote_held + pool.quote_escrowed),
            self.fund.address: (0, self.fund.held),
            str(self.chain_spot.address): self.spot.reserves(),
        }
        for holder, amounts in holdings.items():
            held = tuple(self.words[token].word("balanceOf", holder) for token in TOKENS)
            assert held == amounts, holder

    def compare_getters(self) -> None:
        """Compare what the views say of storage."""
        owners = [*self.traders, self.pool.address]
        for owner in (*self.traders, self.fund.address):
            views = self.world.fund
            assert views.shares_of(owner) == self.fund.shares_of(owner)
            assert views.worth(owner) == self.fund.worth(owner)
            assert plain(views.request_of(owner)) == tuple(self.fund.request_of(owner))
            assert plain(views.entry_of(owner)) == tuple(self.fund.entry_of(owner))
        assert views.uncollected() == self.fund.uncollected()
        assert views.available(self.venue.address) == self.fund.available(self.venue.address)
        accounts, state, reserves, ledgers = self.reader.stored(
            self.venue.address, self.chain_spot.address, self.world.owner, owners
        )
        assert [plain(each) for each in accounts] == [
            tuple(self.venue.account(owner)) for owner in owners
        ]
        assert plain(state) == tuple(self.venue.state())
        assert plain(reserves) == tuple(self.venue.reserves())
        views, venue = self.world.venue, self.venue
        for long in (False, True):
            assert plain(views.queue(long)) == tuple(venue.queue(long))
        assert plain(views.offer()) == tuple(venue.offer(at=self.now))
        assert views.stage() == venue.stage_now(at=self.now)
        assert plain(views.batch()) == tuple(venue.batch)
        assert plain(views.wind_up_flag()) == tuple(venue.flagged)
        assert plain((views.payout(0), views.payout(1))) == tuple(map(tuple, venue.payouts))
        assert plain(ledgers) == (
            *self.pool.holdings(),
            self.pool.total_shares,
            self.pool.shares_of.get(self.world.owner, 0),
            self.fund.held,
            *self.spot.reserves(),
        )

    def compare_views(self, who: str, size: int, price_wad: int, ratio_bps: int) -> None:
        """Compare every priced view at any price, for one account and one size."""
        self.compare_getters()
        chain, at = self.world.venue, self.now
        margin = self.venue.margin(who, price_wad, at=at)
        assert plain(chain.margin(who, price_wad)) == record(margin, MARGIN_FIELDS)
        market = self.venue.market(price_wad, at=at)
        assert plain(chain.market(price_wad)) == record(market, MARKET_FIELDS)
        free = self.venue.free_assets(who, price_wad, ratio_bps, at=at)
        assert chain.free_assets(who, price_wad, ratio_bps) == free
        quoted = self.venue.quote_trade(0, size, price_wad)
        assert plain(chain.quote_trade(0, size, price_wad)) == quoted
        costs = [self.venue.hedge_cost(0, each, price_wad, at=at) for each in (size, -size // 3)]
        assert list(chain.hedge_costs(0, (size, -size // 3), price_wad)) == costs
        failing = self.venue.liquidation(who, price_wad, at=at)
        assert plain(chain.liquidation(who, price_wad)) == failing
        assert chain.pool_equity_required(price_wad) == self.venue.pool_equity_required(price_wad)
        assert self.world.pool.equity(price_wad) == self.pool.equity(price_wad, at=at)

    def check_value(self, price_wad: int) -> None:
        """Accounts and pool, both at closing, sum to what is held, less three roundings."""
        venue, pool = self.venue, self.pool
        divisor, twice = self.divisor, 2 * venue.terms.skew_scale
        others = [owner for owner in venue.owners if owner != pool.address]
        everybody = [venue._account_now(owner, self.now) for owner in others]
        tokens = venue.quote_held - venue.fund_claim + pool.quote_held
        assets = sum(each.assets for each in everybody) + venue.pool_assets + pool.assets_held
        at_pool = pool.equity(price_wad, at=self.now)
        stop = venue.account(pool.address).size
        closing = sum(
            twice * ((each.quote - each.entry) * divisor + each.assets * price_wad)
            + each.size * price_wad * (twice + venue.skew + stop)
            for each in everybody
        )
        held = twice * (tokens * divisor + assets * price_wad)
        missing = held - twice * at_pool * divisor - closing
        # Roundings: four in the pool's value, one of funding for each account.
        assert 0 <= missing < (4 + len(everybody)) * twice * divisor


def plain(value: Any) -> Any:
    """Return structs and lists of titanoboa as tuples."""
    if isinstance(value, list | tuple):
        return tuple(plain(each) for each in value)
    return value


def record(value: Any, fields: tuple[str, ...]) -> tuple[Any, ...]:
    """Return a record as the tuple that a struct arrives as."""
    return tuple(getattr(value, name) for name in fields)
