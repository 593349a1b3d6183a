"""The services' own code in a world without time, sockets or servers, where one seed decides all that happens."""
