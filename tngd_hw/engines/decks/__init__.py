"""A user's own deck through every analysis: from our equations, exactly, or through ngspice.

simulate         simulate_deck: which engine, every analysis
circuit          the deck as a flat linear circuit with named drives
transient        exact between the corners of its sources (sources, switches)
frequency        AC response and noise
ngspice          one process an analysis, and how long it will take (estimate)
result           labelled waveforms, and what to say of them (statistics)
"""
