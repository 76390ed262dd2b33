"""Options that commands share, and values of them."""
