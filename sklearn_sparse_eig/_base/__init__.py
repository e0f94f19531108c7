"""The ground floor: what several rooms share. Nothing here imports another part of the package."""
