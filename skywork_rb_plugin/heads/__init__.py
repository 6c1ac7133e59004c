"""How a reward is read off each family of reward model. One so far: transformers' sequence classification."""
