"""What Iris must do, as stories; where each kind of test stands is in docs/design.md."""
