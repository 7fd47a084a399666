"""Azure's own recorded answers, asked again of the judging rooms."""
