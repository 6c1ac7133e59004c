"""`info`: what is installed and which benchmarks there are."""
