"""The way out: findings to CSV, workbook, JSON and page. The only room that imports pandas."""
