"""A model as one HTML page to look into: `dlcc view`."""

from dlcc.compiler.view.costs import Cost, Costs, read_costs
from dlcc.compiler.view.files import ViewRow, view
from dlcc.compiler.view.page import page, write
from dlcc.compiler.view.placed import Placements

__all__ = ["Cost", "Costs", "Placements", "ViewRow", "page", "read_costs", "view", "write"]
