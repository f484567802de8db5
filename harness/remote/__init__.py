"""Models on somebody's server: asked, paid for, accounted for, and perhaps gone tomorrow."""
