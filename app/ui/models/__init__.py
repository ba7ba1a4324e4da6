"""The models page: what one can get, what there is on the hub, what is on this computer."""
