"""Classifiers on networks that users bring."""
