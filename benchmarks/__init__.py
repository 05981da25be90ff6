"""What the project promises in figures, measured: each figure beside a floor or a peer from the same run."""
