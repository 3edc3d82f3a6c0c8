"""The parts of ``clearport bench``: request, jobs for each device, record, and comparisons."""
