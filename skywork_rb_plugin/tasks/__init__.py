"""Task types of the plugin: preference tasks and groups with official weights."""
