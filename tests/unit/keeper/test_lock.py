# SPDX-License-Identifier: MIT
"""One keeper a journal, and a lock that ends with its process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from keeper.errors import ConfigInvalid, Fault
from keeper.lock import exclusive


def test_exclusive__second__one_line_with_the_process(tmp_path):
    journal = tmp_path / "j.sqlite"
    with (
        exclusive(journal),
        pytest.raises(Fault, match=rf"another keeper works on .*j\.sqlite \(process {os.getpid()}"),
        exclusive(journal),
    ):
        pass


def test_exclusive__again_after_the_first__is_free(tmp_path):
    for _ in range(2):
        with exclusive(tmp_path / "new" / "j.sqlite"):
            pass


def test_exclusive__holder_killed__is_free(tmp_path):
    code = (
        "import sys, os, pathlib; from keeper.lock import exclusive\n"
        "with exclusive(pathlib.Path(sys.argv[1])):\n    os.kill(os.getpid(), 9)"
    )
    journal = tmp_path / "j.sqlite"
    killed = subprocess.run([sys.executable, "-c", code, str(journal)], check=False)
    assert killed.returncode == -9
    with exclusive(journal):
        pass


def test_exclusive__other_journal__does_not_matter(tmp_path):
    with exclusive(tmp_path / "a"), exclusive(tmp_path / "b"):
        pass


def test_exclusive__no_such_place__names_the_field(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigInvalid, match=r"journal\.path: "), exclusive(tmp_path / "file" / "j"):
        pass
