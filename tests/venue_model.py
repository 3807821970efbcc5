# SPDX-License-Identifier: MIT
"""
The venue in plain integers, written from the design and not from the contract.

Python's ``//`` floors; ``up`` is the ceiling. Amounts are raw token units, prices and rates WAD.
`Model` follows accounts, pool and fund through deposits, trades, funding and liquidations; the
contract must agree with it to the unit.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

WAD = 10**18
PERIOD = 28_800  # seconds; funding rates are per 8 hours
MEAN_TIME = 1_800  # seconds


def up(numerator: int, denominator: int) -> int:
    """Return the ceiling of the quotient."""
    return -(-numerator // denominator)


def _toward_zero(numerator: int, denominator: int) -> int:
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


def wad_exp(x: int) -> int:
    """Return exp(x) in WAD as snekmate 0.1.2 computes it (Remco Bloemen, MIT), x <= 0."""
    if x <= -41_446_531_673_892_822_313:
        return 0
    x = _toward_zero(x << 78, 5**18)
    k = (_toward_zero(x << 96, 54_916_777_467_707_473_351_141_471_128) + 2**95) >> 96
    x -= k * 54_916_777_467_707_473_351_141_471_128
    y = (((x + 1_346_386_616_545_796_478_920_950_773_328) * x) >> 96) + (
        57_155_421_227_552_351_082_224_309_758_442
    )
    p = (((y + x - 94_201_549_194_550_492_254_356_042_504_812) * y) >> 96) + (
        28_719_021_644_029_726_153_956_944_680_412_240
    )
    p = p * x + (4_385_272_521_454_847_904_659_076_985_693_276 << 96)
    q = (((x - 2_855_989_394_907_223_263_936_484_059_900) * x) >> 96) + (
        50_020_603_652_535_783_019_961_831_881_945
    )
    q = ((q * x) >> 96) - 533_845_033_583_426_703_283_633_433_725_380
    q = ((q * x) >> 96) + 3_604_857_256_930_695_427_073_651_918_091_429
    q = ((q * x) >> 96) - 14_423_608_567_350_463_180_887_372_962_807_573
    q = ((q * x) >> 96) + 26_449_188_498_355_588_339_934_803_723_976_023
    r = _toward_zero(p, q)
    return (r * 3_822_833_074_963_236_453_042_738_258_902_158_003_155_416_615_667) >> (195 - k)


@dataclass
class Account:
    """Margin and position of one account."""

    assets: int = 0
    quote: int = 0
    size: int = 0
    entry: int = 0
    index: int = 0  # funding index of its side at the last settlement


@dataclass
class Liquidated:
    """What one liquidation did."""

    size: int
    sold: int
    penalty: int
    reward: int
    covered: int
    deficit: int


@dataclass
class Model:
    """One venue, its pool's backstop and claims, and the fund's balance."""

    terms: dict[str, int]
    divisor: int
    fund: int = 0  # quote in the insurance fund
    price: int = 0  # of the interval now running
    at: int = 0
    mean: int = 0
    longs: int = 0
    shorts: int = 0
    long_index: int = 0
    short_index: int = 0
    pool_claim: int = 0
    fund_claim: int = 0
    pool_assets: int = 0
    accounts: dict[str, Account] = field(default_factory=dict)
    stop: Account = field(default_factory=Account)

    # Curve

    @property
    def skew(self) -> int:
        """Return K."""
        return self.longs - self.shorts

    @property
    def premium(self) -> int:
        """Return K / L, down."""
        return self.skew * WAD // self.terms["skew_scale"]

    def value_down(self, size: int, price: int) -> int:
        """Return size * S, down."""
        return size * price // self.divisor

    def cost(self, skew: int, size: int, price: int) -> int:
        """Return x * S * (1 + (K + x/2) / L), up."""
        scale = self.terms["skew_scale"]
        return up(size * price * (2 * scale + 2 * skew + size), 2 * scale * self.divisor)

    def fee(self, skew: int, size: int, price: int) -> int:
        """Return taker on what increases |K|, maker on the rest, up."""
        maker = min(abs(size), abs(skew)) if (skew > 0) != (size > 0) else 0
        rate = (abs(size) - maker) * self.terms["taker_fee_wad"]
        rate += maker * self.terms["maker_fee_wad"]
        return up(rate * price, self.divisor * WAD)

    # Margin

    def initial_rate(self, size: int) -> int:
        """Return base + slope * |q| / L, up."""
        slope, scale = self.terms["initial_slope_wad"], self.terms["skew_scale"]
        return self.terms["initial_base_wad"] + up(slope * abs(size), scale)

    def initial(self, size: int, price: int) -> int:
        """Return the initial margin, up."""
        return up(abs(size) * price * self.initial_rate(size), self.divisor * WAD)

    def maintenance(self, size: int, price: int) -> int:
        """Return the maintenance margin, up."""
        terms = self.terms
        floor = terms["penalty_wad"] + terms["reward_share_wad"] + terms["maintenance_buffer_wad"]
        rate = max(up(self.initial_rate(size) * terms["maintenance_share_wad"], WAD), floor)
        return up(abs(size) * price * rate, self.divisor * WAD)

    def collateral(self, assets: int, price: int) -> int:
        """Return assets * S * (1 - haircut), down."""
        return assets * price * (WAD - self.terms["haircut_wad"]) // (self.divisor * WAD)

    def equity(self, account: Account, price: int) -> int:
        """Return equity for margin at the index."""
        profit = self.value_down(account.size, price) - account.entry
        return account.quote + self.collateral(account.assets, price) + profit

    def worse_profit(self, account: Account, price: int) -> int:
        """Return unrealised profit at the worse of index and the fill of closing now."""
        index = self.value_down(account.size, price)
        return min(index, -self.cost(self.skew, -account.size, price)) - account.entry

    # Time

    def rate(self) -> int:
        """Return funding per 8 hours."""
        terms, premium = self.terms, self.premium
        band, cap = terms["interest_band_wad"], terms["funding_cap_wad"]
        pull = max(-band, min(band, terms["interest_wad"] - premium))
        return max(-cap, min(cap, premium + pull))

    def accrue(self, at: int, price: int = 0) -> None:
        """Bring indices and mean premium to `at`; a price starts the next interval."""
        elapsed, rate = at - self.at, self.rate()
        if elapsed > 0:
            due = abs(rate) * self.price * elapsed
            paid, most = up(due, PERIOD * WAD), due // (PERIOD * WAD)
            payers, takers = (self.longs, self.shorts) if rate > 0 else (self.shorts, self.longs)
            got = min(most, paid * payers // takers) if takers else 0
            self.long_index += paid if rate > 0 else -got
            self.short_index += -got if rate > 0 else paid
            weight = wad_exp(-(min(elapsed, 100 * MEAN_TIME) * WAD // MEAN_TIME))
            self.mean = self.premium + (self.mean - self.premium) * weight // WAD
            self.at = at
        self.price = price or self.price

    def index(self, size: int) -> int:
        """Return the funding index of the side."""
        return 0 if size == 0 else self.long_index if size > 0 else self.short_index

    def settle(self, account: Account) -> int:
        """Let the account pay its funding and return it."""
        owed = up(abs(account.size) * (self.index(account.size) - account.index), self.divisor)
        account.index = self.index(account.size)
        account.quote -= owed
        self.pool_claim += owed
        return owed

    # Calls

    def account(self, name: str) -> Account:
        """Return the account, made on first use."""
        return self.accounts.setdefault(name, Account())

    def deposit(self, name: str, assets: int, quote: int, at: int) -> None:
        """Add margin."""
        self.accrue(at)
        account = self.account(name)
        self.settle(account)
        account.assets += assets
        account.quote += quote

    def withdraw(self, name: str, assets: int, quote: int, at: int, price: int) -> None:
        """Take margin; `price` is zero where the contract needs none."""
        self.accrue(at, price)
        account = self.account(name)
        self.settle(account)
        account.assets -= assets
        account.quote -= quote

    def _move(self, account: Account, size: int, cost: int, closing: int) -> int:
        """Change size and entry, keep open interest, return the profit realised."""
        before = replace(account)
        account.size += size
        realised = 0
        if before.size == 0 or (before.size > 0) == (size > 0):
            account.entry += cost
        elif before.size * account.size < 0:
            account.entry = cost - closing
            realised = -closing - before.entry
        else:
            closed = up(before.entry * abs(size), abs(before.size))
            account.entry -= closed
            realised = -cost - closed
        self.longs += max(account.size, 0) - max(before.size, 0)
        self.shorts += max(-account.size, 0) - max(-before.size, 0)
        account.index = self.index(account.size)
        return realised

    def trade(self, name: str, size: int, at: int, price: int) -> int:
        """Fill on the curve and return quote paid, fee included."""
        self.accrue(at, price)
        account = self.account(name)
        self.settle(account)
        skew = self.skew
        cost, fee = self.cost(skew, size, price), self.fee(skew, size, price)
        realised = self._move(account, size, cost, self.cost(skew, -account.size, price))
        account.quote += realised - fee
        fund_fee = fee * self.terms["fund_share_wad"] // WAD
        self.fund_claim += fund_fee
        self.pool_claim += fee - realised - fund_fee
        return cost + fee

    def _part(self, account: Account, price: int) -> tuple[int, int]:
        """Return the size that the backstop takes and the reward asked."""
        terms, size = self.terms, abs(account.size)
        reward_share = size * price * terms["reward_share_wad"] // (self.divisor * WAD)
        reward = min(terms["reward"], reward_share)
        equity = self.equity(account, price)
        if equity <= 0:
            return size, reward
        lacking = max(self.initial(size, price) + reward - equity, 0)
        rate = self.initial_rate(size) - terms["penalty_wad"]
        part = up(lacking * self.divisor * WAD, price * rate)
        if part >= size or size - part < terms["min_size"]:
            return size, reward
        return part, reward

    def liquidatable(self, name: str, price: int) -> bool:
        """Return whether equity is under maintenance, funding settled."""
        account = self.account(name)
        return self.equity(account, price) < self.maintenance(account.size, price)

    def liquidate(self, name: str, by: str, at: int, price: int) -> Liquidated:
        """Let the backstop take what it must, and share out reward, penalty and loss."""
        self.accrue(at, price)
        account = self.account(name)
        self.settle(account)
        self.settle(self.stop)
        self.pool_claim += self.stop.quote  # the backstop's balance is the pool's
        self.stop.quote = 0
        part, reward = self._part(account, price)
        size = part if account.size > 0 else -part
        penalty = up(part * price * self.terms["penalty_wad"], self.divisor * WAD)
        cost = up(-size * price, self.divisor)
        before = account.quote
        account.quote += self._move(account, -size, cost, 0)
        took = -cost - penalty
        closing = up(took * abs(self.stop.size), abs(size)) if size else 0
        self._move(self.stop, size, took, closing)
        done = Liquidated(size, 0, penalty, reward, 0, 0)
        loss, unpaid = 0, 0
        if account.size:
            account.quote -= reward + penalty
        else:
            loss, unpaid = self._close_out(account, done, price)
        fund_part = done.penalty * self.terms["fund_share_wad"] // WAD
        own = min(loss + unpaid, self.fund_claim)
        drawn = min(loss + unpaid - own, self.fund)
        self.fund -= drawn
        done.covered = own + drawn
        bonus = min(done.covered, unpaid)
        done.deficit = loss - (done.covered - bonus)
        done.reward += bonus
        self.pool_claim += drawn + before - account.quote - done.reward - fund_part + own
        self.fund_claim += fund_part - own
        self.account(by).quote += done.reward
        return done

    def _close_out(self, account: Account, done: Liquidated, price: int) -> tuple[int, int]:
        """Sell margin for what is lacking; return the loss and the reward left unpaid."""
        share = WAD - self.terms["discount_wad"]
        lacking = max(done.reward + done.penalty - account.quote, 0)
        if lacking and account.assets:
            done.sold = min(account.assets, up(lacking * self.divisor * WAD, price * share))
            account.assets -= done.sold
            account.quote += done.sold * price * share // (self.divisor * WAD)
            self.pool_assets += done.sold
        has, asked = max(account.quote, 0), done.reward
        loss = max(-account.quote, 0)
        done.reward = min(asked, has)
        done.penalty = min(done.penalty, has - done.reward)
        account.quote = has - done.reward - done.penalty
        return loss, asked - done.reward

    # What the pool owns

    def everybody(self) -> list[Account]:
        """Return all accounts but the backstop."""
        return list(self.accounts.values())

    def debt(self) -> int:
        """Return the sum of all loans."""
        return sum(max(-account.quote, 0) for account in self.everybody())

    def pool_value(self, price: int) -> int:
        """Return claims and assets less what everybody would get if all closed together."""
        scale, skew, stop = self.terms["skew_scale"], self.skew, self.stop
        closing = up((skew - stop.size) * price * (2 * scale + skew), 2 * scale * self.divisor)
        cost = sum(
            account.entry * self.divisor
            + abs(account.size) * (self.index(account.size) - account.index)
            for account in self.everybody()
        )
        return (
            self.pool_claim
            + self.pool_assets * price // self.divisor
            - closing
            + cost // self.divisor
        )
