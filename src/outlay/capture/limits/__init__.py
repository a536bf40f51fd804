"""Limits in the guest: whether a call may go out, decided in the process from what it holds.

`gate` decides and never waits; `waiting` waits for it; `leases` keeps the slices fresh on its own
thread. What an amount means, and all arithmetic of the authority, is in `core.limits`.
"""
