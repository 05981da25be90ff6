"""The REST API: thin handlers over one backend; whatever goes wrong is an RFC 9457 problem."""
