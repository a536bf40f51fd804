"""The pure domain: money, units, usage, events, prices, rating and roll-ups.

It does no I/O, knows no clock, no randomness and no environment: all of these are passed in.
Standard library only, because the guest imports it.
"""
