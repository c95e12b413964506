"""The program ngspice: found, asked how long it will take, run, watched and judged.

found, process     which program, and one run of it with limits
steps, estimate    steps and tolerance for a stated error; time and memory before a run
failures           what a failed run means
raw_file           what it wrote
poles              its own .pz, beside those of the state equations
"""
