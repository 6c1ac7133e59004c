"""The table of metrics: what a row's scores are worth, and how rows become one number. Needs no torch, and lm_eval only to register."""
