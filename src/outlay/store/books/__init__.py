"""The books: tenants, keys, prices, dead letters and the audit log, in a relational database.

`tables` names the tables, `migrations` makes and changes them, `sql` is the implementation of
`store.base.Books`. Nothing here knows HTTP or the stream.
"""
