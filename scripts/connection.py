# SPDX-License-Identifier: MIT
"""
Brownie from a Python program, without `brownie run`.

    with LocalNode.start("anvil") as node, connected(node.url, node.chain_id):
        deployment = deploy.deploy()
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from brownie import network, project
from brownie._config import CONFIG

from scripts.calls import quiet

ROOT: Final = Path(__file__).resolve().parents[1]
NETWORK: Final = "hedgevault-node"  # name of the entry while connected
TIMEOUT: Final = 60  # seconds for one request


@contextmanager
def connected(url: str, chain_id: int) -> Iterator[Any]:
    """
    Load the project and connect Brownie to a running node; yield the project.

    Brownie has one connection for the whole process. It is closed at the end,
    the node is left alone, and nothing is written to the user's home.
    """
    loaded = load()
    CONFIG.networks[NETWORK] = {
        "id": NETWORK,
        "name": "Hedge vault node",
        "host": url,
        "chainid": str(chain_id),
        "timeout": TIMEOUT,
    }
    network.connect(NETWORK)
    # Auto, although the default is the same, so that a user's own setting of 0 is harmless.
    network.gas_price("auto")
    quiet()
    try:
        yield loaded
    finally:
        network.disconnect(kill_rpc=False)
        del CONFIG.networks[NETWORK]


def load() -> Any:
    """Return the project, compiled if a contract has changed; loaded once in a process."""
    for loaded in project.get_loaded_projects():
        if Path(loaded._path) == ROOT:
            return loaded
    loaded = project.load(str(ROOT))
    loaded.load_config()
    return loaded
