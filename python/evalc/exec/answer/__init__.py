"""From packs to answers: likelihoods of continuations, and generated texts."""
