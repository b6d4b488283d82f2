"""What is measured of a latent space: one file for each kind of score, and `scoring`, which joins them."""
