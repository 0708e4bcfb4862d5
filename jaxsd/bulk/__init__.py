"""Many images from a table of rows: the same ones on any machine, and none lost when it stops."""
