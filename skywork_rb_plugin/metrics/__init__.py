"""The table of metrics: what a row's scores are worth, and how rows become one number. Needs neither torch nor lm_eval."""
