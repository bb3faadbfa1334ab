"""All that is on disk: blobs, snapshots, records, names, locks."""
