"""How far engines are apart: every topology, noise, and the same training through several of them."""
