"""The task YAMLs, one folder per benchmark; a package so that the entry point in `lm_eval.tasks` can name the folder."""
