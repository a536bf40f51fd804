"""The log between capture and the rest: durable, ordered, read by offset.

A record is one chunk of events as an Arrow IPC stream (`columns`). Two logs exist: `captured`
(what the collector acknowledged) and `enriched` (what every sink reads). It knows nothing of
prices, tenants or stores.
"""
