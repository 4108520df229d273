"""A model of growth: what more orders a second need, from what one order was measured to cost."""
