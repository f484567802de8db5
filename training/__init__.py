"""Ways to improve a model: fine-tuning, preference optimisation, and methods built on them."""
