"""The parts of ``clearport bench``: what is asked, the jobs for each device, the record, and comparisons."""
