"""The loop, and what it works on: job, events, checkpoints, averages, loggers."""
