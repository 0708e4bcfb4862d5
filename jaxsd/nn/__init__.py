"""Layers that the networks share, with diffusers' names so that a table converts their trees."""
