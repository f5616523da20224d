"""Load and soak runs on a real agent; ``python -m tests.load`` and ``python -m tests.load.soak``."""
