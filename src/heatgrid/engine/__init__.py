"""Floor 3: plan -> blocks -> leaves -> state."""
