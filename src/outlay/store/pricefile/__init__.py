"""Price files: rates, aliases and sell prices as YAML or CSV, read whole or refused whole.

`items` is what a file holds before it means anything; `yaml_items` and `csv_items` read it, each
cell with its line; `rows` turns items into rows; `check` compares them with the book; `write`
writes rows so that reading them gives the same rows. Nothing here knows the database or HTTP.
"""
