"""Write an image or a root file system where the caller wants it, one module per output type."""
