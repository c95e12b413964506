"""Noise of a circuit: as a matrix, by source, and as one seeded path that every engine can be driven by.

matrix             covariance, densities, and which source contributes what
sources, currents  white, Ornstein-Uhlenbeck and 1/f^a as samples; a chip's white noise as few current sources
path, run          one path for several simulators, and three engines on it
filesource_deck    a deck and the files of samples that drive it in ngspice
probe              projections by ngspice's .noise
"""
