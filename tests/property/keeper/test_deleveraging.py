# SPDX-License-Identifier: MIT
"""Deleveraging against exact fractions, and what an owner gains by splitting or washing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from keeper.deleveraging import DeleveragingRefused, Leverage, check, deleverage
from tests.deleveraging_world import checked, failed_longs, maintenance_of, position

OWN = range(1_000, 2_000)  # numbers of the owner's accounts in the tests of splits
SCALES = [1, 10**6, 10**18]

sizes = st.integers(1, 10**6)
equities = st.integers(-1_000, 10**6)
accounts = st.lists(st.tuples(sizes, equities), min_size=0, max_size=12)


@st.composite
def worlds(draw, scales=SCALES):
    """Return a batch and short positions; sizes and equities also of 18 decimals."""
    asset, quote = draw(st.sampled_from(scales)), draw(st.sampled_from(scales))
    dust = st.integers(0, 999)
    positions = [
        position(i, -(size * asset + draw(dust)), equity * quote + draw(dust))
        for i, (size, equity) in enumerate(draw(accounts), 1)
    ]
    interest = sum(-each.size for each in positions)
    failed = draw(st.integers(0, max(interest * 5 // 4, 10)))
    deficit = draw(st.integers(0, 10**6 * quote))
    skew = draw(st.one_of(st.just(0), st.integers(-interest, interest)))
    return failed_longs(failed, deficit, skew), positions


maintenances = st.sampled_from([0, 50, 500, 2_500]).map(maintenance_of)


def solvent(positions):
    return [each for each in positions if each.equity > 0]


def exact_leverage(need, positions):
    """Return lambda by trying every breakpoint, in fractions; None when nobody is cut."""
    candidates = solvent(positions)
    if need == 0:
        return None
    for level in sorted({Fraction(-each.size, each.equity) for each in candidates}, reverse=True):
        taken = [each for each in candidates if Fraction(-each.size, each.equity) >= level]
        kept = sum(-each.size for each in taken) - need
        result = Fraction(kept, sum(each.equity for each in taken))
        below = [each for each in candidates if each not in taken]
        if result >= 0 and all(Fraction(-each.size, each.equity) <= result for each in below):
            return result
    raise AssertionError("no level meets the need")


@given(worlds(), maintenances)
def test_sizes__exact_sum__each_within_a_unit_of_the_fraction(world, maintenance):
    batch, positions = world
    done = checked(batch, positions, maintenance)
    taken = sum(cut.size for cut in done.cuts)
    need = min(batch.failed_size - done.pool.own, sum(-each.size for each in solvent(positions)))
    assert taken == need  # overshoot 0
    assert taken + done.pool.own + done.pool.unmatched == batch.failed_size
    level = exact_leverage(need, positions)
    by_owner = {each.owner: each for each in positions}
    for cut in done.cuts:
        each = by_owner[cut.owner]
        exact = 0
        if level is not None and each.equity > 0:
            exact = max(Fraction(0), -each.size - level * each.equity)
        assert abs(cut.size - exact) < 1
        assert 0 <= cut.size <= -each.size
        assert exact or not cut.size
    if level is not None:
        assert Fraction(done.leverage.size, done.leverage.equity) == level


@given(worlds(), maintenances)
def test_losses__with_the_pools_part__are_the_deficit_and_bankrupt_nobody(world, maintenance):
    batch, positions = world
    done = checked(batch, positions, maintenance)
    assert sum(cut.loss for cut in done.cuts) + done.pool.loss == batch.deficit
    assert done.pool.loss >= 0
    by_owner = {each.owner: each for each in positions}
    for cut in done.cuts:
        each = by_owner[cut.owner]
        assert cut.loss >= 0
        assert cut.loss * batch.failed_size < batch.deficit * cut.size + batch.failed_size
        if cut.loss:
            assert each.equity - cut.loss >= maintenance(-each.size - cut.size)
        if not cut.size:
            assert cut.loss == 0


@given(worlds(), maintenances)
def test_losses__unless_somebody_cannot_bear_his__pool_bears_its_own_part(world, maintenance):
    """M-10: what accounts are charged is at least their part, and at most a unit each over it."""
    batch, positions = world
    done = checked(batch, positions, maintenance)
    by_owner = {each.owner: each for each in positions}
    for cut in done.cuts:
        each = by_owner[cut.owner]
        bearable = each.equity - maintenance(-each.size - cut.size)
        assume(not cut.size or bearable * batch.failed_size >= (batch.deficit + 1) * cut.size)
        assume(not cut.size or bearable >= -(-batch.deficit * cut.size // batch.failed_size))
    taken = sum(cut.size for cut in done.cuts)
    charged = sum(cut.loss for cut in done.cuts)
    if taken:
        excess = charged - Fraction(batch.deficit * taken, batch.failed_size)
        assert 0 <= excess < len(done.cuts)


@given(worlds(), maintenances, st.randoms(use_true_random=False))
def test_order_of_the_input__does_not_matter(world, maintenance, chance):
    batch, positions = world
    mixed = positions[:]
    chance.shuffle(mixed)
    assert deleverage(batch, mixed, maintenance) == deleverage(batch, positions, maintenance)


@given(worlds(), maintenances)
def test_other_side__is_the_mirror(world, maintenance):
    batch, positions = world
    mirrored = replace(batch, failed_size=-batch.failed_size, skew=-batch.skew)
    longs = [replace(each, size=-each.size) for each in positions]
    assert checked(mirrored, longs, maintenance) == deleverage(batch, positions, maintenance)


@given(worlds(), maintenances)
def test_lower_leverage__is_touched_only_after_the_higher(world, maintenance):
    """Whoever is cut leaves nobody with more leverage than he has, but for one unit."""
    batch, positions = world
    done = deleverage(batch, positions, maintenance)
    by_owner = {each.owner: each for each in positions}
    kept = [(-by_owner[cut.owner].size - cut.size, by_owner[cut.owner].equity) for cut in done.cuts]
    for cut in done.cuts:
        if not cut.size:
            continue
        each = by_owner[cut.owner]
        for size, equity in kept:
            if equity > 0:
                assert (size - 1) * each.equity < -each.size * equity


# --- the owner's total, whatever he does ------------------------------------------------------


ROOMY = maintenance_of(0)
markets = worlds(scales=[1])  # of the size of the owner's accounts, where units matter most


def owned(done) -> tuple[int, int]:
    """Return size and loss of the owner's accounts together."""
    cuts = [cut for cut in done.cuts if int(cut.owner, 16) in OWN]
    return sum(cut.size for cut in cuts), sum(cut.loss for cut in cuts)


def own_accounts(parts):
    return [position(OWN[i], -size, equity) for i, (size, equity) in enumerate(parts)]


@given(markets, st.integers(2, 6), sizes, sizes)
def test_split_in_proportion__moves_the_owners_cut_by_at_most_its_parts(world, parts, size, equity):
    batch, others = world
    whole = checked(batch, [*others, *own_accounts([(parts * size, parts * equity)])], ROOMY)
    split = checked(batch, [*others, *own_accounts([(size, equity)] * parts)], ROOMY)
    assert abs(owned(split)[0] - owned(whole)[0]) <= parts


@st.composite
def pieces(draw, total, count, least):
    """Return `count` integers of at least `least` that sum to `total`."""
    spare = total - count * least
    cuts = sorted(draw(st.lists(st.integers(0, spare), min_size=count - 1, max_size=count - 1)))
    return [high - low + least for low, high in zip([0, *cuts], [*cuts, spare], strict=True)]


@given(st.data(), markets, st.integers(2, 6), st.integers(10, 10**6), st.integers(10, 10**6))
def test_any_split__does_not_lower_the_owners_cut(data, world, parts, size, equity):
    batch, others = world
    whole = checked(batch, [*others, *own_accounts([(size, equity)])], ROOMY)
    mine = own_accounts(
        zip(data.draw(pieces(size, parts, 1)), data.draw(pieces(equity, parts, 1)), strict=True)
    )
    split = checked(batch, [*others, *mine], ROOMY)
    assert owned(split)[0] >= owned(whole)[0] - parts


@given(st.data(), markets, sizes, st.integers(10, 10**6), sizes, st.integers(0, 7))
def test_wash_trade__does_not_lower_the_owners_cut(data, world, size, equity, washed, idle):
    """A short and a long more: the short is listed with margin taken from the first account."""
    batch, others = world
    whole = checked(batch, [*others, *own_accounts([(size, equity)])], ROOMY)
    first, second = data.draw(pieces(equity - idle, 2, 1))
    opened = [*own_accounts([(size, first), (washed, second)]), position(OWN[9], washed, idle)]
    after = checked(batch, [*others, *opened], ROOMY)
    assert owned(after)[0] >= owned(whole)[0] - 2


@given(st.data(), markets, st.integers(2, 4), st.integers(10, 10**6), st.integers(10, 10**6))
def test_any_split__while_each_part_can_bear__does_not_lower_the_loss(
    data, world, parts, size, equity
):
    """But for the limit of liability; `test_fault__...` in the unit tests shows that one."""
    batch, others = world
    whole = checked(batch, [*others, *own_accounts([(size, equity)])], ROOMY)
    mine = own_accounts(
        zip(data.draw(pieces(size, parts, 1)), data.draw(pieces(equity, parts, 1)), strict=True)
    )
    split = checked(batch, [*others, *mine], ROOMY)
    by_owner = {each.owner: each for each in mine}
    for cut in split.cuts:
        if cut.owner in by_owner:
            due = -(-batch.deficit * cut.size // max(batch.failed_size, 1))
            assume(due <= by_owner[cut.owner].equity)
    if batch.failed_size:
        dust = -(-batch.deficit * parts // batch.failed_size) + len(split.cuts) + 1
        assert owned(split)[1] >= owned(whole)[1] - dust


@given(worlds(), st.sampled_from([(1_000, 500), (2_000, 900), (500, 50)]), st.integers(1, 100))
def test_initial_margin_there__and_a_rate_under_it__everybody_bears_his_part(world, rates, share):
    """E >= iota N and r <= iota: no loss is limited by the account, whatever lambda."""
    initial_bps, maintenance_bps = rates
    batch, positions = world
    positions = [
        replace(each, equity=max(each.equity, -(each.size * initial_bps // 10_000) + 2))
        for each in positions
    ]
    most = batch.failed_size * initial_bps // 10_000
    batch = replace(batch, deficit=most * share // 100)
    done = checked(batch, positions, maintenance_of(maintenance_bps))
    unlimited = checked(batch, positions, maintenance_of(0))
    assert done.cuts == unlimited.cuts


# --- tampering ---------------------------------------------------------------------------------


@given(st.data(), worlds(), maintenances)
def test_check__any_other_list__is_refused(data, world, maintenance):
    batch, positions = world
    done = deleverage(batch, positions, maintenance)
    assume(done.cuts)
    cuts, lever = list(done.cuts), done.leverage
    i = data.draw(st.integers(0, len(cuts) - 1))
    j = data.draw(st.integers(0, len(cuts) - 1))
    match data.draw(st.sampled_from(["swap", "drop", "double", "size", "loss", "lambda"])):
        case "swap":
            assume(i != j)
            cuts[i], cuts[j] = cuts[j], cuts[i]
        case "drop":
            del cuts[i]
        case "double":
            cuts.insert(j, cuts[i])
        case "size":
            cuts[i] = replace(cuts[i], size=cuts[i].size + data.draw(st.sampled_from([-1, 1])))
        case "loss":
            cuts[i] = replace(cuts[i], loss=cuts[i].loss + data.draw(st.sampled_from([-1, 1])))
        case _:
            by = data.draw(st.tuples(st.integers(-2, 2), st.integers(-2, 2)))
            assume(by != (0, 0))
            lever = Leverage(size=lever.size + by[0], equity=lever.equity + by[1])
    with pytest.raises(DeleveragingRefused):
        check(batch, positions, maintenance, cuts, lever)
