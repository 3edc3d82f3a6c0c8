"""Networks: one file each, their weights, data and training."""
