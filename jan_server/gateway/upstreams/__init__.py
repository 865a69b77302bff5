"""How the gateway reaches services: inside this process, or over HTTP."""
