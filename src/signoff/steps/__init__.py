"""The parts of the story: its receipts, facts, captures and holds. `pipeline.py` tells it."""
