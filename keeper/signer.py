# SPDX-License-Identifier: MIT
"""
The keeper's key: it signs, and appears in no message.
"""

from __future__ import annotations

import json
import sys
from getpass import getpass
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount

from keeper.chain import Envelope, Signed
from keeper.errors import ConfigInvalid
from keeper.snapshot import Address


class Signer:
    """A key that never leaves this object."""

    def __init__(self, account: LocalAccount, chain_id: int) -> None:
        self._account = account
        self._chain_id = chain_id
        self.address = Address(account.address.lower())

    def __repr__(self) -> str:
        return f"Signer({self.address})"

    def sign(self, envelope: Envelope) -> Signed:
        """Sign with every field given, so that nothing is asked of the node."""
        signed = self._account.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": envelope.nonce,
                "to": bytes.fromhex(envelope.to[2:]),
                "value": 0,
                "data": envelope.calldata,
                "gas": envelope.gas,
                "maxFeePerGas": envelope.max_fee,
                "maxPriorityFeePerGas": envelope.priority_fee,
            }
        )
        raw = bytes(signed.raw_transaction)
        return Signed(tx_hash="0x" + bytes(signed.hash).hex(), raw=raw)


def signer_from_key(key: str, chain_id: int) -> Signer:
    """Return the signer of a hex key; the key appears in no message."""
    try:
        return Signer(Account.from_key(key.strip()), chain_id)
    except Exception:  # noqa: BLE001  # whatever the library says may quote the key
        raise ConfigInvalid("signer: not a private key") from None


def signer_from_keystore(keystore: Path, password: str, chain_id: int) -> Signer:
    """Return the signer of an encrypted keystore; the password appears in no message."""
    try:
        text = keystore.read_text(encoding="utf-8")
    except OSError as fault:
        raise ConfigInvalid(f"signer.keystore: {fault.strerror}") from None
    try:
        key = Account.decrypt(json.loads(text), password)
    except Exception:  # noqa: BLE001  # the same
        raise ConfigInvalid("signer.keystore: not a keystore, or not its password") from None
    return Signer(Account.from_key(key), chain_id)


def password_in(path: Path) -> str:
    """Return the password that a file holds."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as fault:
        words = getattr(fault, "strerror", None) or "is not UTF-8 text"
        raise ConfigInvalid(f"signer.password_file: {words}") from None


def password_typed(keystore: Path) -> str:
    """Ask for a password, where there is somebody to ask."""
    if not sys.stdin.isatty():
        raise ConfigInvalid(
            "signer: give password_file or password_env, there is no terminal to ask at"
        )
    return getpass(f"Password of {keystore}: ")
