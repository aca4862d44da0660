"""The mask explorer: its panel of widgets, what it computes and what it draws."""
