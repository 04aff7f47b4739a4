"""Read files safely, and write them completely or not at all."""
