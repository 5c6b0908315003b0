"""Pictures of a run: where everything stands in them. Pure; templates/charts.html draws what is measured here."""
