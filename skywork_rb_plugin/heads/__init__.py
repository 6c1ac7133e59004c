"""How a reward is read off each family of reward model: `Head` is the interface, one module per family."""
