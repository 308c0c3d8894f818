"""What a run's findings say, and what their remedies do: read, compared with a baseline, and tried."""
