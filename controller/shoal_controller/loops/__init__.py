"""What happens without being asked: rounds that read intent from the store and carry it out."""
