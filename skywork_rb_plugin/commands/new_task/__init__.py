"""`new-task`: what the columns of a dataset mean, and the YAML that says so."""
