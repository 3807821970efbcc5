# SPDX-License-Identifier: MIT
"""
The dashboard: what the vaults are and what their keeper did, in a browser.

    chain, journal -> Watcher -> Seen -> view models -> templates

Read-only: no key, no call that has an effect. `view` is pure.
"""
