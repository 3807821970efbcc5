# SPDX-License-Identifier: MIT
"""The configuration is refused field by field, in one line that names the field."""

from __future__ import annotations

import io
import json
import re

import pytest

from keeper.config import ConfigFile, load_config
from keeper.database import database_url
from keeper.errors import ConfigInvalid
from keeper.signer import password_in, password_typed, signer_from_key, signer_from_keystore

LENS = "0x" + "11" * 20
VAULT = "0x" + "22" * 20
GOOD = f"""
[chain]
rpc_url = "http://127.0.0.1:8545"
chain_id = 31337
lens = "{LENS}"

[[vaults]]
address = "{VAULT}"
"""
CHAIN = '[chain]\nrpc_url = "http://h"\nchain_id = 1\n'


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "hedgevault.toml"
        path.write_text(text)
        return load_config(path)

    return load


def test_load_config__least__fills_the_rest(load, tmp_path):
    config = load(GOOD)
    assert config.lens == LENS
    assert config.vaults == (VAULT,)
    assert config.journal == tmp_path / "hedgevault.sqlite"
    assert config.signer is None
    assert config.policy.trigger_bps == 150


LEAST = {"rpc_url": "http://h", "chain_id": 1, "lens": LENS}


def sections():
    """Yield each section with its model and a table of it that is good."""
    good = {
        "chain": {"rpc_url": "http://h", "chain_id": 1, "lens": LENS},
        "signer": {"key_env": "K"},
    }
    for name, field in ConfigFile.model_fields.items():
        kinds = (field.annotation, *getattr(field.annotation, "__args__", ()))
        model = next((kind for kind in kinds if hasattr(kind, "model_fields")), None)
        if model is not None and name != "vaults":
            yield name, model, good.get(name, {})


FIELDS = [(name, field, good) for name, model, good in sections() for field in model.model_fields]


def test_fields__of_every_section():
    names = {name for name, _, _ in FIELDS}
    assert names == set(ConfigFile.model_fields) - {"vaults", "deployment"}
    assert len(FIELDS) == len({(name, field) for name, field, _ in FIELDS}) >= 80


@pytest.mark.parametrize("wrong", ["{ x = 1 }", "[[1]]", "nan"])
@pytest.mark.parametrize(("section", "field", "good"), FIELDS)
def test_load_config__each_field_wrong__one_line_that_names_it(load, section, field, good, wrong):
    tables = {"chain": LEAST} | {section: good}
    lines = [
        f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in table.items() if k != field)
        for name, table in tables.items()
    ]
    text = "".join(sorted(lines, key=lambda line: line.startswith(f"[{section}]")))
    with pytest.raises(ConfigInvalid) as refused:
        load(f'{text}{field} = {wrong}\n[[vaults]]\naddress = "{VAULT}"\n')
    assert re.search(rf"{section}\.{field}(\.0)*: ", str(refused.value))
    assert "\n" not in str(refused.value)


def test_load_config__journal_by_url__from_file_or_environment(load, monkeypatch, tmp_path):
    monkeypatch.setenv("WHERE", "postgresql://u:s3cr3t@h/n")
    for given in ('url = "postgresql://u:s3cr3t@h/n"', 'url_env = "WHERE"'):
        config = load(f"{GOOD}[journal]\n{given}\n")
        assert config.journal == database_url("postgresql://u:s3cr3t@h/n")
        assert config.alerts_path == tmp_path / "hedgevault-alerts"
        assert "s3cr3t" not in repr(config.file)
    assert load(GOOD).alerts_path == tmp_path / "hedgevault.sqlite-alerts"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ('url = "mysql://h/n"', "journal.url: must be of sqlite or postgresql, not mysql"),
        ('url = "n"', "journal.url: is no database URL"),
        ('url = "postgresql://h"', "journal.url: names no database"),
        ('url = "postgresql://h/n"\npath = "p"', "journal: give one of path, url and url_env"),
        ('path = ""', "journal.path: names no file"),
        ('url_env = "UNSET_FOR_SURE"', "journal.url_env: UNSET_FOR_SURE is not set"),
        ('url_env = "WRONG"', "journal.url_env: WRONG is no database URL"),
    ],
)
def test_load_config__journal_mistake__names_the_field(load, monkeypatch, section, words):
    monkeypatch.setenv("WRONG", "s3cr3t")
    with pytest.raises(ConfigInvalid) as refused:
        load(f"{GOOD}[journal]\n{section}\n")
    assert words in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


def test_load_config__address_without_prefix__the_same_address(load):
    assert load(GOOD.replace(VAULT, VAULT[2:])).vaults == (VAULT,)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("http://", "ws://"), "chain.rpc_url: must start with http"),
        ((":8545", ":notaport"), "chain.rpc_url: port"),
        ((":8545", ":99999"), "chain.rpc_url: port"),
        (("127.0.0.1:8545", ""), "chain.rpc_url: names no host"),
        (("http://127.0.0.1", "http://[::1"), "chain.rpc_url: "),
        (("31337", "true"), "chain.chain_id: "),
        (("31337", '"31337"'), "chain.chain_id: input should be a valid integer"),
        (("31337", "0"), "chain.chain_id: input should be greater than 0"),
        (("31337", '"x"'), "chain.chain_id: input should be a valid integer"),
        (("chain_id = 31337\n", ""), "chain.chain_id: is missing"),
        ((LENS, "0x12"), "chain.lens: not an address"),
        ((LENS, "0x" + "00" * 20), "chain.lens: is the zero address"),
        ((LENS, "0x" + "Ab" * 20), "chain.lens: wrong checksum"),
        ((f'lens = "{LENS}"', ""), "chain.lens: is missing, and no deployment"),
        ((VAULT, "0xzz"), "vaults.0.address: not an address"),
        ((f'[[vaults]]\naddress = "{VAULT}"', ""), "vaults: give at least one"),
        (("[chain]", '[safety]\nkill_file = ""\n[chain]'), "safety.kill_file: names no file"),
        (("[chain]", "[chain]\nspeed = 3"), "chain.speed: unknown key"),
        (("[chain]", "colour = 1\n[chain]"), "colour: unknown key"),
        (("[chain]", "[chain"), "hedgevault.toml: "),
    ],
)
def test_load_config__mistake__names_the_field(load, change, words):
    with pytest.raises(ConfigInvalid, match=r"hedgevault\.toml") as refused:
        load(GOOD.replace(*change))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("[policy]\ntrigger_bps = -1", "policy.trigger_bps: must not be negative"),
        ("[policy]\ntrigger_bps = 1.5", "policy.trigger_bps: input should be a valid integer"),
        ("[policy]\ntrigger = 1", "policy.trigger: unknown key"),
        ("[policy]\ntarget_bps = 150", "policy.target_bps: must be under trigger_bps"),
        ("[policy]\ndistance_low_bps = 4000", "policy.distance_low_bps: must be under"),
        ("[policy]\ndistance_high_bps = 4000", "policy.distance_target_bps: must be under"),
        ("[policy]\nsettle_target_bps = 1500", "policy.settle_target_bps: must be under"),
        ("[policy]\ndeadline_secs = 0", "policy.deadline_secs: must be positive"),
        ("[policy]\nmax_trade_bps = 0", "policy.max_trade_bps: must be positive"),
        ("[policy]\nslippage_bps = 10001", "policy.slippage_bps: must be at most 10000"),
        ("[policy]\ntrigger_bps = 10001", "policy.trigger_bps: must be at most 10000"),
        (
            "[policy]\nlimit_tolerance_bps = 10000",
            "policy.limit_tolerance_bps: must be at most 9999",
        ),
        ("[policy]\nmin_trade_bps = 10001", "policy.min_trade_bps: must be at most 10000"),
        ("[policy]\ncost_bound_bps = 10001", "policy.cost_bound_bps: must be at most 10000"),
        (
            "[policy]\nsettle_trigger_bps = 10001",
            "policy.settle_trigger_bps: must be at most 10000",
        ),
        (
            "[policy]\nmargin_buffer_bps = 100001",
            "policy.margin_buffer_bps: must be at most 100000",
        ),
        (
            "[policy]\ndistance_high_bps = 100001",
            "policy.distance_high_bps: must be at most 100000",
        ),
        ("[policy]\nmax_premium_gap_bps = 10001", "policy.max_premium_gap_bps: must be at most"),
        ("[policy]\ndeadline_secs = 86401", "policy.deadline_secs: must be at most 86400"),
        ("[policy]\nmax_price_age_secs = 0", "policy.max_price_age_secs: must be positive"),
        ("[policy]\nmin_trade_bps = true", "policy.min_trade_bps: "),
        ("[policy]\nmin_trade_bps = '5'", "policy.min_trade_bps: input should be a valid integer"),
        ("[jobs]\ntick_secs = true", "jobs.tick_secs: "),
        ("[jobs]\ntick_deadline_secs = 5", "chain.request_timeout_secs: must be under jobs.tick_"),
        (
            "[jobs]\nmargin_watch_deadline_secs = 5",
            "chain.request_timeout_secs: must be under jobs.m",
        ),
        ("[fees]\nmax_gas = true", "fees.max_gas: "),
        ("[fees]\nmax_fee_gwei = true", "fees.max_fee_gwei: "),
        ("[safety]\nmax_sends_an_hour = '3'", "safety.max_sends_an_hour: input should be a valid"),
        ("[fees]\nmax_fee_gwei = 0", "fees.max_fee_gwei: input should be greater than 0"),
        ("[fees]\npriority_fee_gwei = 101", "fees: priority_fee_gwei must not be over"),
        ("[fees]\nmax_gas = 20999", "fees.max_gas: input should be greater than or equal to 21000"),
        ("[jobs]\ntick_secs = 0", "jobs.tick_secs: input should be greater than 0"),
        ("[safety]\nmax_reverts_in_row = 0", "safety.max_reverts_in_row: input should be"),
        ("[safety]\nmax_price_age_secs = 0", "safety.max_price_age_secs: input should be"),
        ("[log]\nformat = 'xml'", "log.format: input should be 'auto'"),
        ("[http]\nport = 65536", "http.port: input should be less than or equal to 65535"),
        ("[http]\nport = -1", "http.port: input should be greater than or equal to 0"),
        ("[http]\nport = true", "http.port: "),
        ("[http]\nport = '9100'", "http.port: input should be a valid integer"),
        ("[http]\nhost = ''", "http.host: "),
        ("[http]\naddress = 'x'", "http.address: unknown key"),
        ("[alerts]\nafter_secs = -1", "alerts.after_secs: input should be greater than or equal"),
        ("[alerts]\nafter_secs = true", "alerts.after_secs: "),
        ("[alerts]\nafter_secs = nan", "alerts.after_secs: "),
        ("[alerts]\nremind_secs = 59", "alerts.remind_secs: input should be greater than or"),
        ("[alerts]\nlow_balance_ether = -1", "alerts.low_balance_ether: input should be"),
        ("[alerts]\nlow_balance_ether = 'x'", "alerts.low_balance_ether: "),
        ("[alerts]\nurl_file = ''", "alerts.url_file: names no file"),
        ("[alerts]\nurls = ['slack://x']", "alerts.urls: unknown key"),
        ("[alerts]\nurl_env = 'A'\nurl_file = 'a'", "alerts: give either url_env or url_file"),
        ("[signer]", "signer: give one of keystore, key_env and url"),
        ("[upkeep]\ndo = ['trade']", "upkeep.do.0: input should be 'liquidate'"),
        ("[upkeep]\ndo = 'poke'", "upkeep.do: input should be a valid tuple"),
        ("[upkeep]\nleast_reward = -1", "upkeep.least_reward: input should be greater than or"),
        ("[upkeep]\nfirst_block = -1", "upkeep.first_block: input should be greater than or"),
        ("[upkeep]\ndeadline_secs = 5", "chain.request_timeout_secs: must be under upkeep.dead"),
        ("[upkeep]\nmax_gas_a_day = 0", "upkeep.max_gas_a_day: input should be greater than 0"),
        ("[signer]\npassword_file = 'k'\nkey_env = 'K'", "signer: a password needs a keystore"),
        ("[signer]\nkeystore = 'k'\nkey_env = 'K'", "signer: give one of keystore, key_env and"),
        ("[signer]\ntimeout_secs = 2", "signer: give one of keystore, key_env and url"),
        (
            "[signer]\nkeystore = 'k'\npassword_file = 'p'\npassword_env = 'P'",
            "signer: give either password_file or password_env",
        ),
        ("[signer]\nurl = 'http://s'", "signer: url and address belong together"),
        (f"[signer]\nkey_env = 'K'\naddress = '{VAULT}'", "signer: url and address belong"),
        (f"[signer]\nurl = 'ftp://s'\naddress = '{VAULT}'", "signer.url: must start with http"),
        ("[signer]\nurl = 'http://s'\naddress = '0x1'", "signer.address: not an address"),
        (
            f"[signer]\nurl = 'http://s'\naddress = '{VAULT}'\ntimeout_secs = 20",
            "signer.timeout_secs: must be under jobs.margin_watch_deadline_secs",
        ),
        ("[signer]\nkey = '0x1'", "signer.key: unknown key"),
        (f'[[vaults]]\naddress = "{VAULT}"', "vaults: an address is listed twice"),
    ],
)
def test_load_config__section_mistake__names_the_field(load, section, words):
    with pytest.raises(ConfigInvalid) as refused:
        load(GOOD + section)
    assert words in str(refused.value)


NODES = 'other_rpc_urls = ["http://b", "http://c"]'


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('other_rpc_urls = "http://b"', "chain.other_rpc_urls: input should be a valid tuple"),
        ('other_rpc_urls = ["ftp://b"]', "chain.other_rpc_urls.0: must start with http"),
        ('other_rpc_urls = ["http://h"]', "chain: a node is listed twice"),
        ("quorum = 2", "chain: quorum is 2, there are 1 nodes"),
        (f"quorum = 0\n{NODES}", "chain.quorum: input should be greater than 0"),
        (f"quorum = 4\n{NODES}", "chain: quorum is 4, there are 3 nodes"),
        ("max_lag_blocks = -1", "chain.max_lag_blocks: input should be greater"),
        ("max_requests_a_sec = 0", "chain.max_requests_a_sec: input should be greater than 0"),
        ('send_url = "relay"', "chain.send_url: must start with http"),
        ('send_mode = "private"', "chain: send_mode needs send_url"),
        ('send_url = "http://r"\nsend_mode = "secret"', "chain.send_mode: input should be"),
    ],
)
def test_load_config__mistake_about_nodes__names_the_field(load, lines, words):
    with pytest.raises(ConfigInvalid) as fault:
        load(f'{CHAIN}{lines}\nlens = "{LENS}"\n[[vaults]]\naddress = "{VAULT}"\n')
    assert words in str(fault.value)
    assert "\n" not in str(fault.value)


def test_load_config__several_nodes__are_taken(load):
    text = f'{CHAIN}{NODES}\nquorum = 2\nsend_url = "http://r"\nlens = "{LENS}"\n'
    section = load(f'{text}[[vaults]]\naddress = "{VAULT}"\n').chain
    assert section.urls == ("http://h", "http://b", "http://c", "http://r")
    assert (section.quorum, section.send_mode) == (2, "private")


def test_load_config__whole_and_fractional_numbers__are_taken(load):
    config = load(
        GOOD + "[fees]\nmax_fee_gwei = 1.5\npriority_fee_gwei = 1\n"
        "[jobs]\ntick_secs = 1\nmargin_watch_secs = 0.5\n[journal]\npath = 'j.sqlite'"
    )
    assert (str(config.fees.max_fee_gwei), config.jobs.tick_secs) == ("1.5", 1.0)


def test_load_config__several_mistakes__all_in_one_line(load):
    with pytest.raises(ConfigInvalid) as refused:
        load(GOOD.replace("31337", "0").replace(LENS, "x"))
    assert "chain.chain_id" in str(refused.value)
    assert "chain.lens" in str(refused.value)


def test_load_config__no_file__one_line(tmp_path):
    with pytest.raises(ConfigInvalid, match="no such file"):
        load_config(tmp_path / "absent.toml")


def test_load_config__safety_age__tightens_the_policy(load):
    config = load(GOOD + "[safety]\nmax_price_age_secs = 60")
    assert config.policy.max_price_age_secs == 60


def record(tmp_path, **changes):
    contracts = {"VaultLens": {"address": LENS}, "HedgeVault": {"address": VAULT}}
    path = tmp_path / "1.json"
    path.write_text(json.dumps({"chain_id": 1, "contracts": contracts} | changes))


def test_load_config__deployment__fills_lens_and_vault(load, tmp_path):
    record(tmp_path)
    config = load('deployment = "1.json"\n' + CHAIN)
    assert (config.lens, config.vaults) == (LENS, (VAULT,))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chain_id": 2}, "is of chain 2, chain.chain_id is 1"),
        ({"contracts": []}, "is not a deployment record"),
        ({"contracts": {"VaultLens": {"address": "0x1"}}}, "is not a deployment record"),
        ({"contracts": {"VaultLens": {"address": LENS}}}, "vaults: give at least one"),
    ],
)
def test_load_config__bad_deployment__refused(load, tmp_path, changes, words):
    record(tmp_path, **changes)
    with pytest.raises(ConfigInvalid) as refused:
        load('deployment = "1.json"\n' + CHAIN)
    assert words in str(refused.value)


def test_load_config__absent_deployment__refused(load):
    with pytest.raises(ConfigInvalid, match=r"deployment: .*no such file"):
        load('deployment = "absent.json"\n' + CHAIN)


def test_signer__bad_key__is_not_repeated():
    secret = "0xdeadbeefdeadbeef"
    with pytest.raises(ConfigInvalid) as refused:
        signer_from_key(secret, 1)
    assert "deadbeef" not in str(refused.value)


def test_signer__keystore(tmp_path):
    from eth_account import Account

    account = Account.create()
    kept = Account.encrypt(account.key, "open sesame", kdf="pbkdf2", iterations=2)
    (tmp_path / "key.json").write_text(json.dumps(kept))
    (tmp_path / "password").write_text("open sesame\n")
    signer = signer_from_keystore(tmp_path / "key.json", password_in(tmp_path / "password"), 1)
    assert signer.address == account.address.lower()
    assert account.key.hex() not in repr(signer)
    (tmp_path / "password").write_text("wrong")
    with pytest.raises(ConfigInvalid, match="not its password"):
        signer_from_keystore(tmp_path / "key.json", password_in(tmp_path / "password"), 1)
    with pytest.raises(ConfigInvalid, match="password_file"):
        password_in(tmp_path / "absent")


def test_password_typed__no_terminal__says_what_to_give(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(ConfigInvalid, match="give password_file or password_env"):
        password_typed(tmp_path / "key.json")


def test_password_typed__terminal__is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("keeper.signer.getpass", lambda prompt: f"typed at {prompt}")
    assert password_typed(tmp_path / "key.json").startswith("typed at Password of ")
