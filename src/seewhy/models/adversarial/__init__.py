"""Two networks that play against each other: a generator draws pictures from noise, a discriminator tells them from real ones."""
