"""The way in: Azure Resource Manager to a snapshot. The only room that imports the Azure SDK."""
