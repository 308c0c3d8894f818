"""How near drawn pictures are to real ones, and how many kinds of them there are: measured on features, and named by who made those."""
