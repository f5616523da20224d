"""An oracle for the engines: real packages, a probe on every line, the interpreter's own count beside it.

``python -m tests.oracle`` runs all of it and prints a table (``nox -s oracle``); the test suite
runs a part.
"""
