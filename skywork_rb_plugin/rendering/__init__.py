"""Conversations -> text -> token ids, as a model wants them: by its chat template, or in a format of its own."""
