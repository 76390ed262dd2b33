"""A model, loaded: weights, tokenizer, adapters, and what its architecture needs."""
