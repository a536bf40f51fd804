"""One module per migration, in order; a published one never changes."""
