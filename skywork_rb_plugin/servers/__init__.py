"""Reward servers: what they speak, how they are asked, what can go wrong."""
