"""A reward server for tests, over real HTTP: it speaks each protocol as the real ones do, and can go wrong in many ways."""
