"""The HTTP API: thin. It authenticates, bounds, scopes to the key's tenant, and hands on.

Nothing here prices, stores or decides: the log, the stores and the books are passed in as
`services.Services`. Only `wiring` names concrete backends.
"""
