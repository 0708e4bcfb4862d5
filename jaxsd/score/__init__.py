"""Measures of a folder of pictures: FID, KID, CLIP score, and plain facts."""
