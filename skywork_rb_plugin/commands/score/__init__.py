"""`score`: rewards for a file of conversations, or of prompts with many responses."""
