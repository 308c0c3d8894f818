"""Cursors: the networks of `seewhy.models.autoregressive.networks` a value at a time, from caches, for sampling."""
