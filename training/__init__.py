"""Ways to improve a model: fine-tuning and preference optimisation, and the methods built on them."""
