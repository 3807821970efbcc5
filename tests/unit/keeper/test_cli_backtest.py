# SPDX-License-Identifier: MIT
"""`hedgevault backtest` and `sweep` as a user types them."""

from __future__ import annotations

import csv
import datetime

import pytest
from typer.testing import CliRunner

from keeper.cli import app
from keeper.simulation.paths import PathTerms, jump_diffusion

START = 1_704_067_200


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("market") / "made.csv"
    hours = jump_diffusion(400, 3, START, PathTerms(volatility=0.012))
    with path.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(("timestamp_utc", "spot", "perp", "gas_gwei"))
        for hour in hours:
            at = datetime.datetime.fromtimestamp(hour.closes_at, datetime.UTC)
            rows.writerow((at.strftime("%Y-%m-%dT%H:%M:%SZ"), hour.spot, hour.perp, 20))
    return path


def said(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def test_backtest__file__table_by_year(file):
    code, out, _ = said("backtest", file)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "2024-01-01 to 2024-01-17, 400 hours"
    assert [line.split()[0] for line in lines[2:4]] == ["2024", "all"]


def test_backtest__fast__the_same_table(file):
    assert said("backtest", file, "--fast") == said("backtest", file)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--fast", "--cut"), "the fast path knows no scenario, latency or cap on gas"),
        (("--latency", "300"), "latency: from 0 to 299 blocks"),
        (("--deposit", "0.01"), "deposit: must be over 0.1 assets"),
        (("--ratio", "13000"), "hedge ratio: must be at most 12000"),
        (("--from", "2030-01-01"), "made.csv: no hour from 2030-01-01 to None"),
        (("--to", "2024-01-01", "--cut"), "a scenario needs more than 24 hours"),
    ],
)
def test_backtest__what_does_not_fit__one_line(file, words, fault):
    assert said("backtest", file, *words) == (2, "", fault + "\n")


def test_backtest__gap__refused_unless_asked_for(file, tmp_path):
    lines = file.read_text().splitlines()
    holed = tmp_path / "holed.csv"
    holed.write_text("\n".join(lines[:100] + lines[105:]) + "\n")
    code, _, err = said("backtest", holed)
    assert (code, err) == (
        2, "holed.csv, line 101, column timestamp_utc: gap: 5 hours are missing before it\n"
    )  # fmt: skip
    assert said("backtest", holed, "--gaps")[0] == 0


def test_backtest__scenarios__run(file):
    code, out, _ = said("backtest", file, "--squeeze", "--cut", "--moving", "--gas-cap", "10")
    assert code == 0
    assert "plans not sent for the price of gas" in out or "all" in out


def test_sweep__two_axes__one_row_each(file, tmp_path):
    words = ("sweep", file, "--out", tmp_path, "--workers", "1")
    axes = ("--axis", "settle_trigger_bps=500,1500", "--axis", "distance_low_bps=2500,3000")
    code, out, _ = said(*words, *axes)
    assert code == 0
    assert len(list(tmp_path.glob("*.parquet"))) == 4
    assert out.count("%") == 8


@pytest.mark.parametrize(
    ("axis", "fault"),
    [
        ("colour=1", "colour: the policy has no such field"),
        ("trigger_bps=a", "expected name=1,2,3, was 'trigger_bps=a'"),
        ("target_bps=500", "no policy of 1 makes sense: target_bps: must be under trigger_bps"),
    ],
)
def test_sweep__wrong_axis__one_line(file, tmp_path, axis, fault):
    code, _, err = said("sweep", file, "--out", tmp_path, "--axis", axis)
    assert code == 2
    assert fault in err
