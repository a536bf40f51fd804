"""The one logical query model that every OLAP engine answers."""
