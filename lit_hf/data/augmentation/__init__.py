"""Changes of training images that leave their class as it is, or mix two of them."""
