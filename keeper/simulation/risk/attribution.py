# SPDX-License-Identifier: MIT
"""
Where the result of a hedged vault came from, exactly. Integers only.

Over one step, with A assets and q of the hedge held while spot moves by dS and the hedge's price
by dF, and T the delta that the target ratio asks for:

    A dS + q dF = T dS + (A + q - T) dS + q (dF - dS)
                  target  drift           basis

Funding, fees, gas and slippage are booked when they are paid: slippage of a trade of x, bought
positive, at a fill price p beside the price F at which the position is valued is x (F - p), a cost
when negative. The parts are kept in quote times the price divisor, where nothing is divided, so
they sum to the change of NAV to the unit; `rounded` shares the last units out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from keeper.units import div_floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """
    One interval between two valuations; trades happen at its end, at the prices there.

    Attributes
    ----------
    spot_before_wad, spot_after_wad, hedge_before_wad, hedge_after_wad : int
        Whole quote per whole asset, WAD.
    assets, size, target_delta : int
        Raw asset units held during the step; the hedge's size is signed, long positive.
    funding : int
        Raw quote received, negative if paid.
    fees, gas : int
        Raw quote paid, not negative.
    spot_trades, hedge_trades : tuple of (size, fill price)
        Raw asset units bought (positive) or sold at a WAD price.
    """

    spot_before_wad: int
    spot_after_wad: int
    hedge_before_wad: int
    hedge_after_wad: int
    assets: int
    size: int
    target_delta: int
    funding: int = 0
    fees: int = 0
    gas: int = 0
    spot_trades: tuple[tuple[int, int], ...] = ()
    hedge_trades: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Result by cause, seen by the vault: a cost is negative. Unit as said by who returns it."""

    target: int = 0  # the price risk that the depositors asked to keep
    drift: int = 0
    basis: int = 0
    funding: int = 0
    fees: int = 0
    slippage: int = 0
    gas: int = 0

    @property
    def total(self) -> int:
        """Return the change of NAV that the parts make."""
        return sum(self.parts().values())

    def parts(self) -> dict[str, int]:
        """Return the parts by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def attribute(steps: Iterable[Step], divisor: int) -> Attribution:
    """
    Return the parts over all steps in raw quote times `divisor`, without rounding.

    Parameters
    ----------
    steps : iterable of Step
        One after the other; each begins at the prices where the one before ended.
    divisor : int
        ``10 ** (18 + asset decimals - quote decimals)``.

    Raises
    ------
    ValueError
        If a step does not begin where the one before ended, or fees or gas are negative.
    """
    sums: dict[str, int] = dict.fromkeys(Attribution().parts(), 0)
    ended: tuple[int, int] | None = None
    for step in steps:
        if ended is not None and ended != (step.spot_before_wad, step.hedge_before_wad):
            raise ValueError(f"expected a step from prices {ended}")
        ended = (step.spot_after_wad, step.hedge_after_wad)
        for name, part in _parts(step, divisor).items():
            sums[name] += part
    return Attribution(**sums)


def rounded(exact: Attribution, divisor: int) -> Attribution:
    """
    Return the parts in raw quote: the total rounded down, each part within one unit of its own.

    Largest remainder: all are rounded down, and what the total has more goes one unit each to
    those that lost most, in the order of the fields where they lost the same.
    """
    floors = {name: div_floor(part, divisor) for name, part in exact.parts().items()}
    left = div_floor(exact.total, divisor) - sum(floors.values())
    lost = {name: part - floors[name] * divisor for name, part in exact.parts().items()}
    for name in sorted(lost, key=lambda each: -lost[each])[:left]:
        floors[name] += 1
    return Attribution(**floors)


def _parts(step: Step, divisor: int) -> Mapping[str, int]:
    if step.fees < 0 or step.gas < 0:
        raise ValueError(f"fees {step.fees} and gas {step.gas} are paid, not received")
    moved = step.spot_after_wad - step.spot_before_wad
    hedge_moved = step.hedge_after_wad - step.hedge_before_wad
    return {
        "target": step.target_delta * moved,
        "drift": (step.assets + step.size - step.target_delta) * moved,
        "basis": step.size * (hedge_moved - moved),
        "funding": step.funding * divisor,
        "fees": -step.fees * divisor,
        "slippage": _slippage(step.spot_trades, step.spot_after_wad)
        + _slippage(step.hedge_trades, step.hedge_after_wad),
        "gas": -step.gas * divisor,
    }


def _slippage(trades: Iterable[tuple[int, int]], price_wad: int) -> int:
    return sum(size * (price_wad - fill_wad) for size, fill_wad in trades)
