"""Layer 3: any table over REST. parse, plan, compile, execute, render."""
