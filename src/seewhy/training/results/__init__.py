"""What a run leaves behind: its folder, its figures, its predictions, its report."""
