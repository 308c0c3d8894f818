"""The ground floor: errors, the name registry, seeding, strict specifications and atomic files.

Nothing here knows about images or networks; every other room may import it.
"""
