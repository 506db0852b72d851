"""What is derived from images alone: computed once per image ever, kept by content, droppable."""
