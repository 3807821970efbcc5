# SPDX-License-Identifier: MIT
"""On a public network the scripts name a signer, say what they do and ask before they send."""

from __future__ import annotations

import pytest

from tests.script_world import ETHER, deployed

pytestmark = [
    pytest.mark.node,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    with deployed("anvil", tmp_path_factory.mktemp("deployments")) as world:
        yield world


@pytest.fixture
def public(system, monkeypatch):
    """The same chain, taken for a public one; the Brownie account `alice` is depositor 5."""
    from brownie import accounts as brownie_accounts

    from scripts import accounts, deployments

    def load(name):
        if name != "alice":
            raise FileNotFoundError(name)
        return system.account(0 if name == "owner" else 5)

    monkeypatch.setattr(accounts, "LOCAL_CHAIN_IDS", frozenset())
    monkeypatch.setattr(deployments, "read", lambda chain_id: system.deployment)
    monkeypatch.setattr(brownie_accounts, "load", load)
    monkeypatch.delenv(accounts.ACCOUNT_VARIABLE, raising=False)
    with system.undone():
        yield system


@pytest.fixture
def asked(monkeypatch):
    """What the user was asked, and the answer he gives."""
    questions = []

    def answer(text):
        def say(question):
            questions.append(question)
            if text is None:
                raise EOFError
            return text

        monkeypatch.setattr("builtins.input", say)
        return questions

    return answer


def nonce(world):
    return world.account(5).nonce


@pytest.mark.parametrize("text", ["", "n", "no", "yes please", None])
def test_deposit__no_clear_yes__nothing_is_sent(public, asked, capsys, text):
    from scripts import deposit

    before, questions = nonce(public), asked(text)
    with pytest.raises(SystemExit) as ended:
        deposit.main("1", "alice")
    assert ended.value.code == 1
    assert questions == ["Send? [y/N] "]
    assert nonce(public) == before
    shown = capsys.readouterr()
    assert "approve and deposit 1 tETH from 0x" in shown.out
    assert "nothing was sent" in shown.err


@pytest.mark.parametrize("text", ["y", "YES"])
def test_deposit__yes__sent(public, asked, text):
    from scripts import deposit

    asked(text)
    deposit.main("1", "alice")
    assert public.at("HedgeVault").balanceOf(public.account(5)) > 0


def test_withdraw__no__nothing_is_sent(public, asked):
    from scripts import deposit, withdraw

    deposit.deposit(public.deployment, public.account(5), ETHER)
    before, questions = nonce(public), asked("n")
    with pytest.raises(SystemExit):
        withdraw.main("all", "alice")
    assert (len(questions), nonce(public)) == (1, before)


def test_stake__no__nothing_is_sent(public, asked):
    from scripts import calls, stake

    account = public.account(5)
    calls.send(account, public.at("Quote").mint, account, 10**6, doing="the tokens")
    before, questions = nonce(public), asked("n")
    with pytest.raises(SystemExit):
        stake.main("1", "alice")
    assert (len(questions), nonce(public)) == (1, before)


def test_set_hedge_ratio__no__nothing_is_sent(public, asked, monkeypatch):
    from brownie import accounts as brownie_accounts

    from scripts import set_hedge_ratio, timelock

    monkeypatch.setattr(brownie_accounts, "load", lambda name: public.account(0))
    questions = asked("n")
    with pytest.raises(SystemExit):
        set_hedge_ratio.main("95%", "owner")
    assert len(questions) == 1
    assert timelock.pending(public.deployment) == []


def test_deploy__no__nothing_is_sent(public, asked, tmp_path):
    from scripts import deploy

    settings = tmp_path / "settings.toml"
    roles = public.account(1), public.account(2)
    settings.write_text(f'keeper = "{roles[0]}"\nguardian = "{roles[1]}"\ntest_doubles = true\n')
    before, questions = nonce(public), asked("n")
    with pytest.raises(SystemExit):
        deploy.main(str(settings), "alice")
    assert (len(questions), nonce(public)) == (1, before)


def test_deploy__no_settings__says_what_to_name(public, capsys):
    from scripts import deploy

    with pytest.raises(SystemExit):
        deploy.main(None, "alice")
    assert "is public: name a settings file" in capsys.readouterr().err


def test_deploy__test_doubles_not_allowed__refused_before_anything_is_sent(public, tmp_path):
    from scripts import deploy
    from scripts.calls import ScriptError

    account = public.account(5)
    before = account.nonce
    settings = deploy.local_settings().model_copy(update={"test_doubles": False})
    with pytest.raises(ScriptError, match=r"asset, quote, asset_feed.*test_doubles = true"):
        deploy.deploy(settings, account, folder=tmp_path)
    assert account.nonce == before


def test_deploy__public_network_with_a_manifest__refused_before_anything_is_sent(public, tmp_path):
    from scripts import deploy, deployments
    from scripts.calls import ScriptError

    account = public.account(5)
    before = account.nonce
    record = deployments.path_of(public.deployment.chain_id, tmp_path)
    record.write_text("{}")
    with pytest.raises(ScriptError, match="records a live system"):
        deploy.deploy(deploy.local_settings(), account, folder=tmp_path)
    assert account.nonce == before
    assert record.read_text() == "{}"


def test_deposit__wrong_password__one_line(public, capsys, monkeypatch):
    from brownie import accounts as brownie_accounts

    from scripts import deposit

    def locked(name):
        raise ValueError("MAC mismatch")

    monkeypatch.setattr(brownie_accounts, "load", locked)
    with pytest.raises(SystemExit):
        deposit.main("1", "alice")
    assert "'alice' stays locked: MAC mismatch" in capsys.readouterr().err


def test_status__node_gone__one_line(public, capsys, monkeypatch):
    import requests

    from scripts import calls

    @calls.for_people
    def main():
        raise requests.ConnectionError("refused")

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "the node cannot be reached" in capsys.readouterr().err


def test_verify__test_doubles_on_a_public_network__noted(public):
    from scripts import verify_deployment

    findings = [str(finding) for finding in verify_deployment.verify(public.deployment)]
    assert any("MintableToken is a test double" in line for line in findings)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (None, "no account is named on hedgevault-node: set HEDGEVAULT_ACCOUNT"),
        ("bob", "Brownie has no account 'bob'"),
        ("5", "Brownie has no account '5'"),
    ],
)
def test_signer__none_or_unknown__says_what_to_do(public, capsys, name, said):
    from scripts import deposit

    with pytest.raises(SystemExit):
        deposit.main("1", name)
    assert said in capsys.readouterr().err


def test_signer__named_by_environment__used(public, asked, monkeypatch):
    from scripts import accounts, deposit

    monkeypatch.setenv(accounts.ACCOUNT_VARIABLE, "alice")
    asked("y")
    deposit.main("1")
    assert public.at("HedgeVault").balanceOf(public.account(5)) > 0
