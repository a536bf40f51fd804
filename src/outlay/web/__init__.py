"""The pages: the dashboard under `/app/`, the customer portal under `/portal/`.

Files only, built from `web/` into `dist`; everything that they show they ask the API for.
"""
