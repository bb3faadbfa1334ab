"""The C core behind checked calls: the only package that imports the C extension."""
