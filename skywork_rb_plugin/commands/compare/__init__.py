"""`python -m skywork_rb_plugin compare`: which of two runs is better, whether that may be chance, and on which rows."""
