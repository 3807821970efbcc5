# SPDX-License-Identifier: MIT
import datetime
import tomllib

import numpy as np
import pytest

from keeper.policy import Policy, policy_fault
from scripts.advise import main
from tests.real_hours import FOLDER

COSTS = ["--nav", "1000000", "--gas", "5", "--cost-bps", "10"]


def market(path, count, deviation=0.008):
    """Write hours of a Gaussian walk with mark, its high and its low."""
    moves = deviation * np.random.default_rng(1).standard_normal((count, 4))
    path_of = 2_000.0 * np.exp(np.cumsum(moves.ravel() / 2.0)).reshape(count, 4)
    begin = datetime.datetime(2022, 1, 1, tzinfo=datetime.UTC)
    lines = ["timestamp_utc,spot,perp,mark,mark_high,mark_low"]
    for i, inside in enumerate(path_of):
        at = (begin + datetime.timedelta(hours=i)).strftime("%Y-%m-%dT%H:%M:%SZ")
        close, high, low = inside[-1], inside.max(), inside.min()
        lines.append(f"{at},{close},{close},{close},{high},{low}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def policy_of(text, fields=5):
    section = tomllib.loads(text)["policy"]
    policy = Policy(**section)
    assert policy_fault(policy) is None
    assert len(section) == fields
    return policy


def test_advise__prints_a_policy_that_the_keeper_takes(tmp_path, capsys):
    file = market(tmp_path / "hours.csv", 24 * 620 + 1)
    main([file, *COSTS])
    first = capsys.readouterr().out
    policy = policy_of(first)
    # Half a percent an hour and 8 h: 2.3 % deviation; a Gaussian touches 3.3 of them in 0.1 %.
    assert 650 <= policy.distance_low_bps <= 1_100
    main([file, *COSTS, "--call", "0.01"])
    assert policy_of(capsys.readouterr().out).distance_low_bps < policy.distance_low_bps
    main([file, "--nav", "1000000", "--gas", "80", "--cost-bps", "10"])
    assert policy_of(capsys.readouterr().out).trigger_bps > policy.trigger_bps
    assert "620 days" in first
    assert "# minimum variance ratio: OLS, 90 days 1.0000, EWMA 0.94 1.0000, GARCH" in first


def test_advise__by_forecast__deviations_of_the_live_forecast(tmp_path, capsys):
    """A Gaussian walk seen at four points an hour: a little under 3.3 deviations in 0.1 %."""
    main([market(tmp_path / "hours.csv", 24 * 620 + 1), *COSTS, "--by-forecast"])
    policy = policy_of(capsys.readouterr().out, fields=7)
    assert policy.distance_low_bps == Policy().distance_low_bps
    assert policy.headroom_secs == 28_800
    assert 28_000 <= policy.headroom_deviations_bps <= 38_000


@pytest.mark.parametrize("words", [["--nav", "0"], ["--gas", "-1"], ["--call", "0.5"]])
def test_advise__wrong_number__is_usage(tmp_path, words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path / "any.csv"), *COSTS, *words])
    assert stopped.value.code == 2
    assert f"argument {words[0]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("count", "words", "fact"),
    [
        (24 * 300, [], "cannot be forecast"),
        (24 * 620 + 1, ["--hours", "0"], "does not divide a day"),
        (24 * 620 + 1, ["--hours", "5"], "does not divide a day"),
        (24 * 620 + 1, ["--ratio-bps", "20000", "--urgent-bps", "0", "--inner-bps", "0"], "target"),
    ],
)
def test_advise__file_or_terms_that_cannot_be_used__is_one_line(tmp_path, count, words, fact):
    with pytest.raises(SystemExit, match=f"^advise: .*{fact}"):
        main([market(tmp_path / "hours.csv", count), *COSTS, *words])


def test_advise__file_without_mark__is_one_line(tmp_path):
    file = tmp_path / "hours.csv"
    market(file, 24 * 620 + 1)
    file.write_text(file.read_text().replace(",mark,mark_high,mark_low", ",a,b,c"))
    with pytest.raises(SystemExit, match=r"^advise: a move is not finite"):
        main([str(file), *COSTS])


def test_advise__no_file__is_one_line(tmp_path):
    with pytest.raises(SystemExit, match=r"^advise: none.csv: cannot be read"):
        main([str(tmp_path / "none.csv"), *COSTS])


def test_advise__real_file__asks_for_more_than_a_diffusion_would(capsys):
    found = sorted(FOLDER.glob("eth_binance_1h_*.csv.gz"))
    if not found:
        pytest.skip("no hourly file of ETH in ../shared/data")
    main([str(found[0]), *COSTS])
    text = capsys.readouterr().out
    assert policy_of(text).distance_low_bps > 2_000
