"""Who could do what, beside what was used: findings about permissions outside Signoff."""
