"""The places that remotes can lie in, each a class with the methods of `Storage`."""
