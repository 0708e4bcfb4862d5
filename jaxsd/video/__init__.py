"""Moving pictures: key frames, the frames between them, sound that drives them, and their files."""
