"""Training generators, measuring them, and drawing from them."""
