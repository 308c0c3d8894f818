"""The canon's claims, each an experiment on real images with a verdict that follows from its numbers."""
