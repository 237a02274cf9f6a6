"""A card becomes a checked Task, a Task its Trials; mistakes are told in two lines."""
