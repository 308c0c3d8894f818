"""Ensembles: several networks trained apart, whose probabilities are averaged (Breiman 1996; Lakshminarayanan et al. 2017, 1612.01474)."""
