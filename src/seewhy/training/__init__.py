"""Training: from a request to a job (`build`), and the loop over its steps (`loop`); checkpoints, events, devices and processes."""
