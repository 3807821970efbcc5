# SPDX-License-Identifier: MIT
from __future__ import annotations

import json

import pytest

from scripts import deployments
from scripts.deployments import NAMES, Deployed, Deployment, DeploymentError


def deployment(**changes):
    entry = Deployed(
        contract="MintableToken",
        address="0x" + "1" * 40,
        arguments=[1, [2**53 + 1, b"\x01"], (True, None)],
        code_hash="0x" + "2" * 64,
        block=3,
    )
    fields = {
        "chain_id": 31337,
        "block": 4,
        "deployer": "0x" + "3" * 40,
        "compiler": {"vyper": "0.4.3", "evm": "shanghai"},
        "contracts": dict.fromkeys(NAMES, entry),
    }
    return Deployment(**fields | changes)


def test_write__any_integers__exact_in_json(tmp_path):
    path = deployments.write(deployment(), tmp_path)
    entry = json.loads(path.read_text())["contracts"]["Asset"]
    assert path.name == "31337.json"
    assert entry["arguments"] == [1, [str(2**53 + 1), "0x01"], [True, None]]
    assert list(tmp_path.iterdir()) == [path]  # no draft is left


def test_read__what_was_written__same(tmp_path):
    deployments.write(deployment(), tmp_path)
    found = deployments.read(31337, tmp_path)
    assert found.contracts.keys() == deployment().contracts.keys()
    assert (found.block, found["Asset"].block) == (4, 3)
    assert found["Asset"].arguments == [1, [str(2**53 + 1), "0x01"], [True, None]]


def test_read__nothing_there__says_what_to_run(tmp_path):
    with pytest.raises(DeploymentError, match=r"nothing is deployed on chain 1: run `brownie run"):
        deployments.read(1, tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"contracts": {"A": {}}}', "null"])
def test_read__no_manifest__refused_in_one_line(tmp_path, text):
    deployments.path_of(1, tmp_path).write_text(text)
    with pytest.raises(DeploymentError, match=r"1\.json is no deployment file"):
        deployments.read(1, tmp_path)


def test_read__of_another_chain__refused(tmp_path):
    deployments.write(deployment(), tmp_path).rename(deployments.path_of(1, tmp_path))
    with pytest.raises(DeploymentError, match=r"is of chain 31337, not of 1"):
        deployments.read(1, tmp_path)


def test_read__contract_missing__named(tmp_path):
    contracts = deployment().contracts
    del contracts["HedgeVault"]
    deployments.write(deployment(contracts=contracts), tmp_path)
    with pytest.raises(DeploymentError, match="lacks HedgeVault"):
        deployments.read(31337, tmp_path)


def test_getitem__unknown_name__refused():
    with pytest.raises(DeploymentError, match="has no Other"):
        deployment()["Other"]
