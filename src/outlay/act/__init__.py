"""Acting on what is known: re-rating, and the spreading of shared cost. Owns no storage."""
