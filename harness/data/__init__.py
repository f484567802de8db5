"""Data for trainers and evaluations: `datasets` is the door, `examples` says what comes through."""
