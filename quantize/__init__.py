"""The scale table: calibration, constraints and refinements."""
