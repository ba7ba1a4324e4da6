"""Downloads of files from the hub: they stop and go on at any point, and what arrives is what was promised."""
