"""What the built-in model's data set is made of, and how its pictures are judged."""
