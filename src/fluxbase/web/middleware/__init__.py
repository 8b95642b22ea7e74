"""The lines of the pipeline, one file each."""
