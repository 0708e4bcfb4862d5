"""Changes to parameter trees: low-rank adaptation (LoRA) and textual inversion."""
