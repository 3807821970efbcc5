# SPDX-License-Identifier: MIT
"""
Numba's cache on disk, made to notice what compiled code rests on in other files.

It knows the contents of the file that a function stands in, and nothing else; but functions called
and constants used from other modules are compiled in. So their contents are noted beside the cache,
and its index is dropped when they have changed. Where nothing can be written, in an installed
package, nobody edits either, and Numba keeps its cache elsewhere.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from types import ModuleType


def renew(source: str, *rests_on: ModuleType) -> None:
    """Drop the index of a file's compiled functions if a module that they rest on has changed."""
    folder, stem = Path(source).parent / "__pycache__", Path(source).stem
    note = folder / f"{stem}.rests_on"
    with contextlib.suppress(OSError):
        digest = hashlib.sha256()
        for module in rests_on:
            digest.update(Path(module.__file__ or source).read_bytes())
        if note.exists() and note.read_text() == digest.hexdigest():
            return
        for index in folder.glob(f"{stem}.*.nbi"):
            index.unlink(missing_ok=True)
        folder.mkdir(exist_ok=True)
        note.write_text(digest.hexdigest())
