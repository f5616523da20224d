"""What a probe costs, as ratios measured side by side in one run. Run by ``nox -s bench``."""
