"""A tiny reward model, trained from scratch on pairs made here, to try the plugin without a download."""
