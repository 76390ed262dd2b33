"""What the engine does its own way on a GPU: attention and scores in Triton, decoding by graph."""
