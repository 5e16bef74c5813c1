"""What people open: the report, the pages of claims, tables, and summaries on a terminal.

Gets numbers from `analysis` and figures from `drawing`; the templates (*.j2), page.css and scripts
stand here. Begin with `report`, then `render`.
"""
