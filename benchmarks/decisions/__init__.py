"""Decisions: what customers are worth, what to do for them, and what it would have brought."""
