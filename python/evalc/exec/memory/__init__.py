"""How much memory there is, and how much of it a pass may take."""
