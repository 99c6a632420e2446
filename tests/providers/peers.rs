//! The protocol as others have written it: the official Python client, and a proxy.
