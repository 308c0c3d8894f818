"""Runs: the folder, training and going on, many runs as processes, prediction, evaluation, ensembles, the report."""
