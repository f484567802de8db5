"""A run as one self-contained HTML page, with a browser of all samples behind its numbers."""
