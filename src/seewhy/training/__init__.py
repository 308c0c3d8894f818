"""Training: the run's specification, the loop, checkpoints, evaluation and the run folder."""
