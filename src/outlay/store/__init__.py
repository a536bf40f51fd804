"""Where events and books live: the live store, the warehouse, the books.

OLAP answers live questions, the warehouse is for finance, the books hold tenants, keys and prices.
Backends keep the contracts in `base`; nothing here decides a price.
"""
