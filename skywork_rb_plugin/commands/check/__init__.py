"""`python -m skywork_rb_plugin check MODEL`: what a model is to hf-reward, and whether its rewards can be trusted."""
