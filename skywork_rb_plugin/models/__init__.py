"""Models of the plugin, as the host sees them."""
