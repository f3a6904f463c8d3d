"""Processes that build and measure candidates: started once, replaced when one hangs or crashes."""
