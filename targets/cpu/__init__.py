"""What host and arm share: from an optimised Relax module to code for a CPU."""
