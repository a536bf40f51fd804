"""What goes over the wire, as types: the OpenAPI file and the dashboard's types are made of it."""
