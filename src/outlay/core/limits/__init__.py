"""Limits as values: what they select, when they hold, what they do, and the arithmetic of holds.

Pure: no I/O, no clock, integers only. The store keeps the rows, `act` decides when, the guest and
the gateway enforce; all of them use the same functions of this package.
"""
