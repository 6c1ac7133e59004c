"""`sweep`: one run for each of many checkpoints, each in a process and a folder of its own."""
