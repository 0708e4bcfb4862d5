"""Single files in the names of the original code, by CompVis and Stability AI."""
