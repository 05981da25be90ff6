"""Where the REST API listens: the server, its connections and their TLS handshakes."""
