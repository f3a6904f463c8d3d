"""Rewrites of a frozen GraphDef that keep what it computes, for `dlcc lint --fix`."""
