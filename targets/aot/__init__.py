"""Ahead-of-time programs: a model as plain C calls, one arena and read-only parameters."""
