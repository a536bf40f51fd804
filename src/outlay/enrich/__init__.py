"""From captured to enriched: deduplicate, attribute, price, flag, and feed the stores.

`worker` moves events from the captured log to the enriched one exactly once (`hop`), `business`,
`price` and `flags` add the server's columns, `pump` feeds each store. It decides nothing about
limits and knows no concrete store.
"""
