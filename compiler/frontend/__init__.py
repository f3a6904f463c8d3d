"""From a TensorFlow model to Relax: load -> Graph -> translate."""
