"""Which file to take: by kind of device, and by what quality costs."""
