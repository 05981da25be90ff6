"""The access log of gateways: the contract `gw/1`, and the EnvoyFilter that has a gateway write it."""
