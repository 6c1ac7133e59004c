"""How many conversations become few forward passes."""
