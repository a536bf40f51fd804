"""Where events and books live: OLAP for live questions, the warehouse for finance, the books for
tenants, keys and prices. Backends keep the contracts in `base`; nothing here decides a price.
"""
