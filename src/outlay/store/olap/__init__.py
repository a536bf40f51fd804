"""OLAP engines: each answers the logical query model and keeps its roll-ups exact."""
