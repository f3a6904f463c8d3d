"""A model as one HTML page to look into: `dlcc view`."""

from dlcc.compiler.view.costs import Cost, Costs, read_costs
from dlcc.compiler.view.files import ViewRow, view
from dlcc.compiler.view.page import page, write

__all__ = ["Cost", "Costs", "ViewRow", "page", "read_costs", "view", "write"]
