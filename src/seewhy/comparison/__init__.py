"""Choices beside each other: studies over seeds, their verdicts, and the canon's claims."""
