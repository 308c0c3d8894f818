"""Choices compared over seeds: planned, executed, judged."""
