"""From probabilities to decisions, and what a decision is worth. Pure: no file, no page."""
