"""`jaxsd serve`: pictures over HTTP, drawn in batches that anyone can join at any row."""
