"""What the project costs: each module prints medians; nothing here is asserted."""
