"""Pages that are generated from the code: networks, tasks, targets, devices, operators, commands, schemas."""
