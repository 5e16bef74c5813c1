"""What a run leaves behind: its folder, its metrics.csv and its W&B run.

Knows how files are written whole and read safely, and nothing of training or analysis. Begin with
`run_dir`; `stored` is the only opener of files of a results folder, `wandb_log` the only importer
of wandb.
"""
