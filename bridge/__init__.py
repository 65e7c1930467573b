"""The bridge: a feed in, RabbitMQ out. It stores nothing; it acknowledges what the broker has confirmed."""
