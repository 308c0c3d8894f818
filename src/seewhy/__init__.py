"""seewhy: train networks that see, and see why they learn, or don't."""
