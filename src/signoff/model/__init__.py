"""The vocabulary: frozen values and the ports. Imports nothing of ours, does no I/O. Pure."""
