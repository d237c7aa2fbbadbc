"""Understanding, one folder per surface. None imports another."""
