# SPDX-License-Identifier: MIT
"""`hedgevault backtest` and `sweep` as a user types them."""

from __future__ import annotations

import csv
import datetime
import gc
import re

import pytest
from typer.testing import CliRunner

from keeper.cli import app
from keeper.simulation.backtest import sweep
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
        (("--fast", "--advised"), "the fast path knows no advice, file funding or forecast"),
        (("--scale", "0"), "scale: from 1 to 1000000000"),
        (("--config", "none.toml"), "none.toml: no such file or directory"),
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


def config_file(folder, policy):
    """Write a configuration with this policy."""
    path = folder / "hedgevault.toml"
    path.write_text(
        f'[chain]\nrpc_url = "http://127.0.0.1:9"\nchain_id = 1\nlens = "0x{"11" * 20}"\n'
        f'[[vaults]]\naddress = "0x{"22" * 20}"\n[policy]\n{policy}\n'
    )
    return path


def test_backtest__configured_policy__is_the_one_that_runs(file, tmp_path):
    eager = "settle_trigger_bps = 200"
    code, out, _ = said("backtest", file, "--config", config_file(tmp_path, eager))
    assert code == 0
    assert out != said("backtest", file)[1]
    plain = said("backtest", file, "--config", config_file(tmp_path, "trigger_bps = 150"))
    assert plain == said("backtest", file)
    wild = config_file(tmp_path, "headroom_deviations_bps = 80000\nvolatility_bps = 20000")
    fast = said("backtest", file, "--fast", "--config", wild)
    assert fast == (2, "", "the fast path knows no advice, file funding or forecast\n")


def test_backtest__advice_and_file_funding__change_what_comes_of_it(file, tmp_path):
    plain = said("backtest", file)[1]
    advice = config_file(tmp_path, "ratio_strategy = 4\nvolatility_bps = 9000")
    assert said("backtest", file, "--config", advice)[1] == plain
    assert said("backtest", file, "--config", advice, "--advised")[1] != plain
    assert "+0.00%" in said("backtest", file, "--file-funding")[1]  # the file has no rates


def test_backtest__report__opens_offline_with_every_figure(file, tmp_path):
    code, out, _ = said("backtest", file, "--report", tmp_path / "report")
    assert code == 0
    assert f"Written: {tmp_path}/report/report.html" in out
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 5
    assert "http" not in re.sub(r"base64,[^\"]+", "", page)
    for words in (
        "2024-01-01 to 2024-01-17, 400 hours",
        "By year",
        "drift 10000 bps",
        "12 s later",
    ):
        assert words in page
    assert len(list((tmp_path / "report").glob("*.png"))) == 5


def test_strategies__one_table_and_one_chart(file, tmp_path):
    code, out, _ = said("strategies", file, "--out", tmp_path)
    assert code == 0
    names = [line.split("  ")[0] for line in out.splitlines()[2:-1]]
    assert names == ["as configured", "static", "minimum variance", "carry", "volatility"]
    page = (tmp_path / "strategies.html").read_text()
    assert all(name in page for name in names)
    assert (tmp_path / "strategies.png").read_bytes().startswith(b"\x89PNG")


def test_strategies__file_too_short__one_line(file, tmp_path):
    code, _, err = said("strategies", file, "--out", tmp_path, "--to", "2024-01-05")
    assert (code, err) == (2, "a comparison needs 14 days, its errors are daily\n")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_sweep__on_a_cluster__the_same_rows_as_on_this_machine(file, tmp_path):
    axes = ("--axis", "settle_trigger_bps=500,1000,1500", "--workers", "2")
    here = said("sweep", file, "--out", tmp_path / "here", *axes)
    there = said("sweep", file, "--out", tmp_path / "there", *axes, "--cluster", "local")
    assert there[:2] == here[:2]
    assert here[0] == 0
    files = [sorted(path.name for path in (tmp_path / n).iterdir()) for n in ("here", "there")]
    assert files[0] == files[1]
    again = said(
        "sweep", file, "--out", tmp_path / "there", *axes, "--cluster", "tcp://127.0.0.1:9"
    )
    assert again[:2] == here[:2]  # nothing is left to do, so nobody is asked
    gc.collect()  # what the cluster left open is warned of here, not in another test


def test_sweep__no_scheduler__one_line(file, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "CONNECT_SECS", 0.2)
    words = ("sweep", file, "--out", tmp_path, "--axis", "trigger_bps=150")
    code, _, err = said(*words, "--cluster", "tcp://127.0.0.1:9")
    assert code == 2
    assert "no Dask scheduler at tcp://127.0.0.1:9" in err
    code, _, err = said(*words, "--workers", "0")
    assert (code, "workers: at least 1" in err) == (2, True)


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
