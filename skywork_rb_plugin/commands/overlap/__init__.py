"""`overlap`: what a training set and evaluation prompts have in common."""
