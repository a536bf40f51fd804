"""Alembic migrations of the books, run when they are opened."""
