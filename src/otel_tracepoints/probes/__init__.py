"""Probes: from a file and a line to the code objects that hold it, now or on import."""
