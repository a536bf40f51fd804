"""Warehouses: the record of every event for finance, with all its columns."""
