"""The rows that stand in for those of the table where an input of a node is complex, joined."""

from __future__ import annotations

from dlcc.compiler.frontend.ops.complex import COMPLEX_FORMS as ELEMENTS
from dlcc.compiler.frontend.ops.complex_matrix import COMPLEX_MATRIX
from dlcc.compiler.frontend.ops.complex_products import COMPLEX_PRODUCTS

COMPLEX_FORMS = ELEMENTS | COMPLEX_PRODUCTS | COMPLEX_MATRIX
