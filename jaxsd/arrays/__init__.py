"""Diffusion on arrays: series [N, T, C] and grids [N, H, W, C] in place of pictures."""
