"""Advice on how to make a model suit the targets that it is compiled for."""

from dlcc.compiler.lint.fix import Fixed, fix
from dlcc.compiler.lint.lint import lint
from dlcc.compiler.lint.rules import RULES, Finding, Rule

__all__ = ["RULES", "Finding", "Fixed", "Rule", "fix", "lint"]
