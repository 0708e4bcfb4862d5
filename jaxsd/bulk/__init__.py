"""Many images from a table of rows: the same on any number of devices, and safe to interrupt."""
