"""What a run leaves behind: its folder, its metrics.csv and its W&B run."""
