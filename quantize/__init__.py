"""The scale table: calibration, legalisation and refinements."""
