"""Measure language models, and improve them between measurements."""
