"""What tests of the command line share: homes of their own, with or without a running stack."""

from tests.running_stack import home_template, running_stack, stack_home

__all__ = ["home_template", "running_stack", "stack_home"]
