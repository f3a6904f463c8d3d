"""Kernels that a user gives as source or with a schedule: how modules carry them, how they are
built."""
