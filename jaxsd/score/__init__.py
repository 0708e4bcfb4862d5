"""What can be said of a folder of pictures, in numbers: FID, KID, CLIP score, and plain facts."""
