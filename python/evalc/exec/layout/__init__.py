"""How the tokens of packs are laid out for passes."""
