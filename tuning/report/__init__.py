"""What tuning has found, as one HTML file."""
