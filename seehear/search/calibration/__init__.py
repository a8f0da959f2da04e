"""What a similarity is worth: baselines of routes, and the generic queries they are fitted to."""
