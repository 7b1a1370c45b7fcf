"""The HTTP edge: settings, routes, problems, metrics, logs, and the engines behind them."""
